#pragma once

// HR_POISON_MEMORY(address, size_bytes) makes AddressSanitizer report every use of memory that a
// pool keeps, until HR_UNPOISON_MEMORY. In builds without it both do nothing.
//
// GCC says by a macro that it instruments, clang by a feature.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HR_ADDRESS_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HR_ADDRESS_SANITIZER
#endif

#if defined(HR_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#define HR_POISON_MEMORY(address, size_bytes) ASAN_POISON_MEMORY_REGION(address, size_bytes)
#define HR_UNPOISON_MEMORY(address, size_bytes) ASAN_UNPOISON_MEMORY_REGION(address, size_bytes)
#else
#define HR_POISON_MEMORY(address, size_bytes) ((void)(address), (void)(size_bytes))
#define HR_UNPOISON_MEMORY(address, size_bytes) ((void)(address), (void)(size_bytes))
#endif
