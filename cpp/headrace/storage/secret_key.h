#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// Key material. Overwritten with zeros when it goes; there is no way to print it.
/// Threading: immutable.
class SecretKey {
 public:
  static constexpr size_t kBytes = 32;

  /// kInvalidArgument unless there are kBytes of them. The caller's copy is the caller's to wipe.
  static Result<std::shared_ptr<const SecretKey>> FromBytes(std::string_view bytes);
  ~SecretKey();
  SecretKey(const SecretKey&) = delete;
  SecretKey& operator=(const SecretKey&) = delete;

  std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }

 private:
  explicit SecretKey(std::string_view bytes);
  std::array<char, kBytes> bytes_;
};
using SecretKeyPtr = std::shared_ptr<const SecretKey>;

/// Overwrites a buffer that held key material, in a way that no compiler leaves out.
void WipeBytes(char* bytes, size_t count);

}  // namespace headrace
