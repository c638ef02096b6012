#include "headrace/storage/file_cipher.h"

#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/storage/key_ring.h"

namespace headrace {

namespace {

constexpr size_t kNonceBytes = 12;
// No chunk is larger: blocks hold at most 1 GiB, and OpenSSL counts in int.
constexpr size_t kChunkBytesMax = size_t{1} << 30;

struct EvpFree {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, EvpFree>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string* text) { return reinterpret_cast<unsigned char*>(text->data()); }

Status LibraryFailed(const char* what) {
  return Status::Internal(std::string("OpenSSL refused to ") + what);
}

// HKDF-SHA256 (RFC 5869).
Status Derive(std::string_view key, std::string_view salt, std::string_view info,
              std::string* out) {
  const std::unique_ptr<EVP_PKEY_CTX, EvpFree> context(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
  size_t size = out->size();
  const bool derived =
      context != nullptr && EVP_PKEY_derive_init(context.get()) > 0 &&
      EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) > 0 &&
      EVP_PKEY_CTX_set1_hkdf_salt(context.get(), Bytes(salt), static_cast<int>(salt.size())) > 0 &&
      EVP_PKEY_CTX_set1_hkdf_key(context.get(), Bytes(key), static_cast<int>(key.size())) > 0 &&
      EVP_PKEY_CTX_add1_hkdf_info(context.get(), Bytes(info), static_cast<int>(info.size())) > 0 &&
      EVP_PKEY_derive(context.get(), Bytes(out), &size) > 0 && size == out->size();
  return derived ? Status::Ok() : LibraryFailed("derive a key");
}

// The nonce of a chunk: four zero bytes and its number, so that it never repeats under a file's
// key.
std::string NonceOf(uint64_t number) {
  ByteWriter nonce;
  nonce.Fixed(uint32_t{0});
  nonce.Fixed(number);
  HR_CHECK_EQ(nonce.size(), kNonceBytes);
  return nonce.Take();
}

std::string NewSalt(Env* env) {
  ByteWriter salt;
  while (salt.size() < FileKeyHeader::kSaltBytes) salt.Fixed(env->Random64());
  return salt.Take();
}

}  // namespace

FileCipher::FileCipher(FileKeyHeader header, std::string place)
    : header_(std::move(header)), place_(std::move(place)), file_key_(SecretKey::kBytes, '\0') {}

FileCipher::~FileCipher() { WipeBytes(file_key_.data(), file_key_.size()); }

Result<std::unique_ptr<FileCipher>> FileCipher::Make(FileKeyHeader header, std::string place,
                                                     const SecretKey& key) {
  std::unique_ptr<FileCipher> cipher(new FileCipher(std::move(header), std::move(place)));
  FileKeyHeader& made = cipher->header_;
  const std::string names = made.key_id;
  HR_RETURN_IF_ERROR(
      Derive(key.bytes(), made.salt, "headrace file key 1 " + names, &cipher->file_key_));
  made.check.resize(FileKeyHeader::kCheckBytes);
  HR_RETURN_IF_ERROR(Derive(key.bytes(), made.salt, "headrace key check 1 " + names, &made.check));
  return cipher;
}

Result<std::unique_ptr<FileCipher>> FileCipher::ForWriting(Env* env, const std::string& key_id,
                                                           std::string place) {
  HR_ASSIGN_OR_RETURN(const SecretKeyPtr key, KeyRing::Process().Find(key_id));
  return Make({.key_id = key_id, .salt = NewSalt(env), .check = {}}, std::move(place), *key);
}

Result<std::unique_ptr<FileCipher>> FileCipher::ForReading(const FileKeyHeader& header,
                                                           std::string place,
                                                           const std::string& file) {
  const Result<SecretKeyPtr> key = KeyRing::Process().Find(header.key_id);
  if (!key.ok()) return key.status().WithContext("file '" + file + "' is encrypted");
  HR_ASSIGN_OR_RETURN(std::unique_ptr<FileCipher> cipher, Make(header, std::move(place), **key));
  if (cipher->header_.check != header.check) {
    return KeyFailure("file '" + file + "' was encrypted with another key named '" + header.key_id +
                      "' than the one that is given for it");
  }
  return cipher;
}

std::string FileCipher::Associated(uint64_t number, bool last, std::string_view associated) const {
  ByteWriter out;
  out.String(place_);
  out.Fixed(number);
  out.Fixed<uint8_t>(last);
  out.Raw(associated);
  return out.Take();
}

Status FileCipher::Seal(uint64_t number, bool last, std::string_view associated,
                        std::string_view plain, std::string* out) const {
  HR_CHECK_LE(plain.size(), kChunkBytesMax);
  const std::string authenticated = Associated(number, last, associated);
  const CipherContext context(EVP_CIPHER_CTX_new());
  const size_t at = out->size();
  out->resize(at + plain.size() + kTagBytes);
  unsigned char* const sealed = Bytes(out) + at;
  int size = 0;
  int rest = 0;
  const bool done = context != nullptr &&
                    EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, Bytes(file_key_),
                                       Bytes(NonceOf(number))) > 0 &&
                    EVP_EncryptUpdate(context.get(), nullptr, &size, Bytes(authenticated),
                                      static_cast<int>(authenticated.size())) > 0 &&
                    EVP_EncryptUpdate(context.get(), sealed, &size, Bytes(plain),
                                      static_cast<int>(plain.size())) > 0 &&
                    EVP_EncryptFinal_ex(context.get(), sealed + size, &rest) > 0 &&
                    EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes,
                                        sealed + plain.size()) > 0;
  return done ? Status::Ok() : LibraryFailed("encrypt");
}

Result<std::string> FileCipher::Open(uint64_t number, bool last, std::string_view associated,
                                     std::string_view sealed) const {
  if (sealed.size() < kTagBytes || sealed.size() - kTagBytes > kChunkBytesMax) {
    return Status::Corruption("no encrypted chunk has " + std::to_string(sealed.size()) + " bytes");
  }
  const std::string authenticated = Associated(number, last, associated);
  const size_t plain_bytes = sealed.size() - kTagBytes;
  std::string tag(sealed.substr(plain_bytes));
  std::string plain(plain_bytes, '\0');
  const CipherContext context(EVP_CIPHER_CTX_new());
  int size = 0;
  int rest = 0;
  const bool started =
      context != nullptr &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, Bytes(file_key_),
                         Bytes(NonceOf(number))) > 0 &&
      EVP_DecryptUpdate(context.get(), nullptr, &size, Bytes(authenticated),
                        static_cast<int>(authenticated.size())) > 0 &&
      EVP_DecryptUpdate(context.get(), Bytes(&plain), &size, Bytes(sealed),
                        static_cast<int>(plain_bytes)) > 0 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, Bytes(&tag)) > 0;
  if (!started) return LibraryFailed("decrypt");
  if (EVP_DecryptFinal_ex(context.get(), Bytes(&plain) + size, &rest) <= 0) {
    return Status::Corruption(
        "an encrypted chunk does not authenticate: it was tampered with, or belongs elsewhere");
  }
  return plain;
}

}  // namespace headrace
