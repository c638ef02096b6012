#include "headrace/base/posix_file_lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <set>

#include "headrace/base/posix_error.h"

namespace headrace {

namespace {

// Descriptors of held locks. A child of fork(2) shares them, and would keep the directory locked
// after its parent was killed; so the child closes its copies first thing.
class HeldLocks {
 public:
  static HeldLocks& Instance() {
    static HeldLocks& held = *new HeldLocks();
    return held;
  }

  void Add(int descriptor) {
    const std::lock_guard<std::mutex> guard(mutex_);
    descriptors_.insert(descriptor);
  }

  void Remove(int descriptor) {
    const std::lock_guard<std::mutex> guard(mutex_);
    descriptors_.erase(descriptor);
  }

 private:
  HeldLocks() {
    pthread_atfork([] { Instance().mutex_.lock(); }, [] { Instance().mutex_.unlock(); },
                   [] {
                     // Only what is safe between fork and exec: nothing is freed here.
                     for (const int descriptor : Instance().descriptors_) ::close(descriptor);
                     Instance().mutex_.unlock();
                   });
  }

  std::mutex mutex_;
  std::set<int> descriptors_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int descriptor) : descriptor_(descriptor), owner_(::getpid()) {
    HeldLocks::Instance().Add(descriptor_);
  }
  ~PosixFileLock() override {
    // In a forked child the descriptor is closed already, and its number may be another file's.
    if (::getpid() != owner_) return;
    HeldLocks::Instance().Remove(descriptor_);
    ::flock(descriptor_, LOCK_UN);
    ::close(descriptor_);
  }

 private:
  const int descriptor_;
  const pid_t owner_;
};

Status InUse(int descriptor, const std::string& path) {
  char text[32] = {};
  const ssize_t size = ::pread(descriptor, text, sizeof(text) - 1, 0);
  const long pid = size > 0 ? std::strtol(text, nullptr, 10) : 0;
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  std::string owner = "another live process";
  if (pid == ::getpid()) {
    owner = "another job of this process (pid " + std::to_string(pid) + ")";
  } else if (pid > 0) {
    owner += " (pid " + std::to_string(pid) + ")";
  }
  return Status::FailedPrecondition("directory '" + directory + "' is in use by " + owner +
                                    ", which holds '" + path +
                                    "'; stop it or choose another directory");
}

// Who holds the lock is for people; the lock itself does not depend on it.
bool WriteOwner(int descriptor) {
  const std::string text = std::to_string(::getpid()) + "\n";
  return ::ftruncate(descriptor, 0) == 0 &&
         ::pwrite(descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

}  // namespace

Result<std::unique_ptr<FileLock>> TakePosixFileLock(const std::string& path) {
  HeldLocks::Instance();
  const int descriptor = RetryWhenInterrupted(
      [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); });
  if (descriptor < 0) return PosixError("open", path, errno);
  if (RetryWhenInterrupted([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); }) != 0) {
    const int error = errno;
    Status status =
        error == EWOULDBLOCK ? InUse(descriptor, path) : PosixError("flock", path, error);
    ::close(descriptor);
    return status;
  }
  if (!WriteOwner(descriptor)) {
    const int error = errno;
    ::close(descriptor);
    return PosixError("write", path, error);
  }
  return std::unique_ptr<FileLock>(new PosixFileLock(descriptor));
}

}  // namespace headrace
