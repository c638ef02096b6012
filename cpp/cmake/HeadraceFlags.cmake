# Compiler and linker flags of every headrace target, carried by the interface target hr_flags.
#
# The instruction set is the plain x86-64 baseline: a kernel that gains from more carries its own
# __attribute__((target(...))) variant and chooses at run time.
include(CheckCXXCompilerFlag)
add_library(hr_flags INTERFACE)
target_include_directories(hr_flags INTERFACE ${PROJECT_SOURCE_DIR}/cpp)
target_compile_definitions(hr_flags INTERFACE HEADRACE_VERSION="${PROJECT_VERSION}")
target_compile_options(hr_flags INTERFACE -Wall -Wextra $<$<BOOL:${HEADRACE_WERROR}>:-Werror>)

# GCC 12 sees overlapping copies in std::string's operator+ that are not there (GCC bug 105651), and its
# flow-based warnings err on inlined optional and variant: seen, but never fatal.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(hr_flags INTERFACE -Wno-restrict)
  if(HEADRACE_WERROR)
    target_compile_options(hr_flags INTERFACE -Wno-error=maybe-uninitialized
                           -Wno-error=array-bounds -Wno-error=stringop-overflow)
  endif()
endif()

if(HEADRACE_PLANTED_BUGS)
  target_compile_definitions(hr_flags INTERFACE HEADRACE_PLANTED_BUGS)
endif()

find_package(Threads REQUIRED)
target_link_libraries(hr_flags INTERFACE Threads::Threads)

# Hardening that costs no measurable speed; sanitizers see more. _GLIBCXX_ASSERTIONS checks every operator[] of a
# vector, so it is kept to debug and sanitizer builds.
if(NOT HEADRACE_SANITIZE)
  target_compile_options(hr_flags INTERFACE -fstack-protector-strong)
  foreach(flag -fstack-clash-protection -fcf-protection=full)
    string(MAKE_C_IDENTIFIER "HR_HAS${flag}" has_flag)
    check_cxx_compiler_flag(${flag} ${has_flag})
    if(${has_flag})
      target_compile_options(hr_flags INTERFACE ${flag})
    endif()
  endforeach()
endif()
if(UNIX AND NOT APPLE)
  target_link_options(hr_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
endif()

if(HEADRACE_SANITIZE)
  target_compile_options(hr_flags INTERFACE -fsanitize=${HEADRACE_SANITIZE} -fno-omit-frame-pointer
                                            -fno-sanitize-recover=all)
  target_link_options(hr_flags INTERFACE -fsanitize=${HEADRACE_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_options(hr_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
if(HEADRACE_SANITIZE OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_definitions(hr_flags INTERFACE _GLIBCXX_ASSERTIONS)
endif()
