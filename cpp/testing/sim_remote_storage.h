#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_transport.h"
#include "testing/sim_random.h"

namespace headrace {

/// What a remote call can do instead of working.
enum class RemoteFault : uint8_t {
  kUnavailable,  ///< 503: nothing happened, and that is all we hear
  kDoneButLost,  ///< it happened, the answer got lost
  kDoneLater,    ///< as kUnavailable, and some calls later it happens after all
};

/// The calls that a test may let fail.
enum class RemoteCall : uint8_t {
  kUpload,
  kCreate,
  kReplace,
  kRead,
  kList,
  kFind,
  kDownload,
  kDelete
};

/// One directory of an object store that behaves as badly as allowed: calls fail with or without
/// effect or take effect late, listings lag behind, an upload that breaks off has put some of its
/// files there. Never half a file: a name has its whole content or does not exist.
///
/// The processes that die are its clients (Connect); the storage itself keeps what it has.
/// Threading: owned by one thread.
class SimRemoteStorage {
 public:
  explicit SimRemoteStorage(uint64_t seed) : random_(seed) {}

  /// A client whose local files are `files`. Keep the storage longer than its clients.
  std::shared_ptr<CheckpointTransport> Connect(FileSystem& files);

  std::map<std::string, std::string>& content() { return content_; }
  std::vector<std::string> Names() const;

  /// Every call fails with this probability, all three ways alike.
  void set_fault_probability(double probability) { fault_probability_ = probability; }
  /// Listings show the names as they were before the last up to `changes` changes.
  void set_list_lag(size_t changes) { list_lag_max_ = changes; }
  /// The next call of this kind fails like this; what is done later, at SettleLate().
  void FailNext(RemoteCall call, RemoteFault fault);
  /// Called before each call that has an effect, for a test that lets somebody else be faster.
  void set_before_call(std::function<void(RemoteCall)> hook) { before_call_ = std::move(hook); }
  /// Everybody knows that the processes which connected up to now are dead.
  void KillClients() {
    for (uint64_t i = 1; i <= clients_; ++i) gone_.insert("process " + std::to_string(i));
  }
  /// Everything that was to happen later happens now.
  void SettleLate();

  /// Makes `directory` hold what is here and nothing else of our names. Left out is a manifest that
  /// lacks files while two newer ones have theirs: it arrived after clean-up had been there.
  void CopyTo(FileSystem& files, const std::string& directory);

  /// For the owner's own decisions about this storage.
  SimRandom& random() { return random_; }
  uint64_t faults() const { return faults_; }
  uint64_t calls() const { return calls_; }

 private:
  class Client;
  using Effect = std::function<void()>;

  Status Perform(RemoteCall call, const Effect& effect);
  bool DrawFault(RemoteCall call, RemoteFault* fault, uint64_t* late_at);
  void Put(const std::string& name, std::string bytes);
  void Erase(const std::string& name);
  void NoteNames();

  SimRandom random_;
  std::map<std::string, std::string> content_;
  std::vector<std::vector<RemoteName>> history_;  // listings after each change, oldest first
  double fault_probability_ = 0;
  size_t list_lag_max_ = 0;
  std::vector<std::pair<RemoteCall, RemoteFault>> scripted_;
  std::vector<std::pair<uint64_t, Effect>> late_;  // the call before which it happens
  std::function<void(RemoteCall)> before_call_;
  uint64_t clients_ = 0;
  std::set<std::string> gone_;
  uint64_t faults_ = 0;
  uint64_t calls_ = 0;
};

}  // namespace headrace
