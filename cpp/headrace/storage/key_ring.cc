#include "headrace/storage/key_ring.h"

#include <algorithm>
#include <utility>

namespace headrace {

namespace {

constexpr size_t kKeyIdBytesMax = 64;

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

Status CheckKeyId(const std::string& key_id) {
  if (!key_id.empty() && key_id.size() <= kKeyIdBytesMax &&
      std::all_of(key_id.begin(), key_id.end(), IsPlain)) {
    return Status::Ok();
  }
  return Status::InvalidArgument("a key id has 1 to 64 letters, digits, '.', '_' or '-'; one of " +
                                 std::to_string(key_id.size()) +
                                 " bytes does not (a key itself must not be given as its id)");
}

Status KeyFailure(const std::string& message) {
  return Status(StatusCode::kFailedPrecondition, message, std::make_shared<KeyProblem>());
}

bool IsKeyProblem(const Status& status) {
  return dynamic_cast<const KeyProblem*>(status.payload().get()) != nullptr;
}

KeyRing& KeyRing::Process() {
  // Never destroyed: threads that outlive main() may still read.
  static auto* const ring = new KeyRing();
  return *ring;
}

void KeyRing::SetLookup(Lookup lookup) {
  const std::lock_guard<std::mutex> guard(mutex_);
  lookup_ = std::move(lookup);
}

void KeyRing::Add(const std::string& key_id, SecretKeyPtr key) {
  const std::lock_guard<std::mutex> guard(mutex_);
  keys_[key_id] = std::move(key);
}

void KeyRing::Clear() {
  const std::lock_guard<std::mutex> guard(mutex_);
  keys_.clear();
}

Result<SecretKeyPtr> KeyRing::Find(const std::string& key_id) {
  Lookup lookup;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    const auto found = keys_.find(key_id);
    if (found != keys_.end()) return found->second;
    lookup = lookup_;
  }
  if (!lookup) return KeyFailure("key '" + key_id + "' is not known");
  Result<SecretKeyPtr> key = lookup(key_id);
  if (!key.ok()) return KeyFailure(key.status().message());
  Add(key_id, *key);
  return key;
}

}  // namespace headrace
