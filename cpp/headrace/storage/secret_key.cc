#include "headrace/storage/secret_key.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <string>

namespace headrace {

SecretKey::SecretKey(std::string_view bytes) {
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}

SecretKey::~SecretKey() { WipeBytes(bytes_.data(), bytes_.size()); }

Result<SecretKeyPtr> SecretKey::FromBytes(std::string_view bytes) {
  if (bytes.size() != kBytes) {
    return Status::InvalidArgument("a key of " + std::to_string(bytes.size()) +
                                   " bytes; AES-256 takes " + std::to_string(kBytes));
  }
  return SecretKeyPtr(new SecretKey(bytes));
}

void WipeBytes(char* bytes, size_t count) { OPENSSL_cleanse(bytes, count); }

}  // namespace headrace
