#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "headrace/base/status.h"
#include "headrace/storage/secret_key.h"

namespace headrace {

/// Goes with a failure whose cause is that a key is missing or wrong, so that files which cannot be
/// read for that reason are not taken for damaged ones.
class KeyProblem final : public StatusPayload {};
Status KeyFailure(const std::string& message);
bool IsKeyProblem(const Status& status);

/// A key id is 1 to 64 letters, digits, '.', '_' or '-': it stands in file headers and messages.
Status CheckKeyId(const std::string& key_id);

/// The keys that this process knows, by id. Files name the key they need, so whoever reads one asks
/// here and need not be told. A key that is not there is asked for once, from wherever the program
/// keeps its keys.
/// Threading: thread-safe.
class KeyRing {
 public:
  /// Gives the SecretKey::kBytes bytes of a key, or says where it was looked for in vain. Called
  /// from any thread, without a lock.
  using Lookup = std::function<Result<SecretKeyPtr>(const std::string& key_id)>;

  static KeyRing& Process();

  void SetLookup(Lookup lookup);
  void Add(const std::string& key_id, SecretKeyPtr key);
  /// Forgets all keys, which are wiped once no file uses them any more.
  void Clear();
  /// A KeyProblem (kFailedPrecondition) naming the key when it cannot be had.
  Result<SecretKeyPtr> Find(const std::string& key_id);

 private:
  std::mutex mutex_;
  Lookup lookup_;                             // guarded by mutex_
  std::map<std::string, SecretKeyPtr> keys_;  // guarded by mutex_
};

}  // namespace headrace
