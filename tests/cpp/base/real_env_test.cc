#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <set>
#include <thread>

#include "headrace/base/early_writeback.h"
#include "headrace/base/env.h"
#include "headrace/base/posix_error.h"
#include "testing/failpoint_actions.h"

namespace headrace {
namespace {

class RealEnvTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "headrace_env_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { RemoveTree(root_); }

  void RemoveTree(const std::string& path) {
    auto names = files_.List(path);
    if (names.ok()) {
      for (const std::string& name : *names) RemoveTree(path + "/" + name);
    }
    EXPECT_TRUE(files_.Remove(path).ok()) << path;
  }

  void Write(const std::string& name, std::string_view content) {
    auto file = files_.Create(Path(name));
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    ASSERT_TRUE((*file)->Append(content).ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
  }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }

  FileSystem& files_ = RealEnv().files();
  std::string root_;
};

TEST_F(RealEnvTest, WrittenBytesAreRead) {
  const std::string big(3 << 20, 'x');
  Write("a", "head" + big);
  auto file = files_.Open(Path("a"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(*(*file)->Size(), 4 + big.size());
  std::string out;
  ASSERT_TRUE((*file)->ReadAt(2, 4, &out).ok());
  EXPECT_EQ(out, "adxx");
  EXPECT_EQ(*files_.ReadAll(Path("a")), "head" + big);
}

TEST_F(RealEnvTest, ReadPastTheEndIsCorruptionWithPathAndOffset) {
  Write("a", "12345");
  auto file = files_.Open(Path("a"));
  ASSERT_TRUE(file.ok());
  std::string out;
  const Status status = (*file)->ReadAt(3, 10, &out);
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_EQ(status.message(),
            "file '" + Path("a") + "', offset 3: wanted 10 bytes, but the file ends at 5");
  // Refused before the allocation.
  EXPECT_EQ((*file)->ReadAt(0, SIZE_MAX / 2, &out).code(), StatusCode::kCorruption);
}

TEST_F(RealEnvTest, ErrorsNameCallPathAndReason) {
  EXPECT_EQ(files_.Open(Path("none")).status().ToString(),
            "NotFound: open('" + Path("none") + "') failed: No such file or directory");
  Write("a", "");
  EXPECT_EQ(files_.Create(Path("a")).status().ToString(),
            "AlreadyExists: create('" + Path("a") + "') failed: File exists");
  EXPECT_EQ(files_.Remove(Path("none")).code(), StatusCode::kNotFound);
  EXPECT_EQ(files_.List(Path("none")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files_.SyncDirectory(Path("none")).code(), StatusCode::kNotFound);
  EXPECT_EQ(files_.Rename(Path("none"), Path("b")).ToString(),
            "NotFound: rename('" + Path("none") + "' -> '" + Path("b") +
                "') failed: No such file or directory");
}

TEST_F(RealEnvTest, LimitsAreResourceExhausted) {
  for (const int error : {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM}) {
    EXPECT_EQ(PosixError("write", "/a", error).code(), StatusCode::kResourceExhausted) << error;
  }
  EXPECT_EQ(PosixError("write", "/a", ENOSPC).ToString(),
            "ResourceExhausted: write('/a') failed: No space left on device");
  EXPECT_EQ(PosixError("write", "/a", EIO).code(), StatusCode::kIoError);
}

TEST_F(RealEnvTest, ShortWriteIsTakenUpAgainAndThenFails) {
  // The kernel writes up to the limit first, and refuses only the rest.
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{1000, before.rlim_max};
  auto file = files_.Create(Path("a"));
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = (*file)->Append(std::string(3000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(status.ToString(), "IoError: write('" + Path("a") + "') failed: File too large");
  EXPECT_EQ(files_.Stat(Path("a"))->size_bytes, 1000u);
}

EarlyWriteback* EarlyOf(const std::unique_ptr<WritableFile>& file) {
  return dynamic_cast<EarlyWriteback*>(file.get());
}

TEST_F(RealEnvTest, WhatIsWrittenOutEarlyIsWhatWasAppended) {
  auto file = files_.Create(Path("a"));
  ASSERT_TRUE(file.ok());
  EarlyWriteback* early = EarlyOf(*file);
  ASSERT_NE(early, nullptr);
  EXPECT_TRUE(early->StartWriteback().ok()) << "of nothing";
  std::string expected;
  for (int i = 0; i < 5; ++i) {
    const std::string piece(10'000, static_cast<char>('a' + i));
    ASSERT_TRUE((*file)->Append(piece).ok());
    ASSERT_TRUE(early->StartWriteback().ok());
    expected += piece;
  }
  ASSERT_TRUE((*file)->Sync().ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ(*files_.ReadAll(Path("a")), expected);
  EXPECT_EQ(early->StartWriteback().code(), StatusCode::kFailedPrecondition) << "it is closed";
}

TEST_F(RealEnvTest, RenameReplacesAndListIsSorted) {
  Write("b", "new");
  Write("a", "old");
  Write("c", "");
  ASSERT_TRUE(files_.Rename(Path("b"), Path("a")).ok());
  ASSERT_TRUE(files_.SyncDirectory(root_).ok());
  EXPECT_EQ(*files_.ReadAll(Path("a")), "new");
  EXPECT_EQ(*files_.List(root_), (std::vector<std::string>{"a", "c"}));
}

TEST_F(RealEnvTest, ClosedFileRefusesEverything) {
  auto file = files_.Create(Path("a"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ((*file)->Append("x").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ((*file)->Sync().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ((*file)->Close().code(), StatusCode::kFailedPrecondition);
}

TEST_F(RealEnvTest, MakeDirectoriesMakesParentsAndAcceptsExisting) {
  ASSERT_TRUE(files_.MakeDirectories(Path("x/y/z")).ok());
  ASSERT_TRUE(files_.MakeDirectories(Path("x/y/z/")).ok());
  EXPECT_TRUE(files_.Stat(Path("x/y/z"))->is_directory);
  Write("file", "");
  EXPECT_EQ(files_.MakeDirectories(Path("file/sub")).code(), StatusCode::kIoError);
}

TEST_F(RealEnvTest, StatTellsFileDirectoryAndNothing) {
  Write("a", "123");
  EXPECT_EQ(files_.Stat(Path("a"))->size_bytes, 3u);
  EXPECT_FALSE(files_.Stat(Path("a"))->is_directory);
  EXPECT_TRUE(files_.Stat(root_)->is_directory);
  EXPECT_FALSE(files_.Stat(Path("none"))->exists);
  EXPECT_FALSE(files_.Stat(Path("a/below"))->exists);
}

TEST_F(RealEnvTest, LockIsRefusedWithinOneProcessAndFreedByItsEnd) {
  auto lock = files_.Lock(Path("LOCK"));
  ASSERT_TRUE(lock.ok());
  const Status refused = files_.Lock(Path("LOCK")).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("directory '" + root_ + "' is in use"), std::string::npos);
  EXPECT_NE(refused.message().find("this process (pid " + std::to_string(::getpid())),
            std::string::npos);
  lock->reset();
  EXPECT_TRUE(files_.Lock(Path("LOCK")).ok());
}

TEST_F(RealEnvTest, LockOfAnotherProcessIsNamedAndFreedByKill) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto lock = files_.Lock(Path("LOCK"));
    const char answer = lock.ok() ? 'y' : 'n';
    static_cast<void>(!::write(ready[1], &answer, 1));
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  const Status refused = files_.Lock(Path("LOCK")).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.message().find("in use by another live process (pid " + std::to_string(child)),
            std::string::npos)
      << refused.message();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(files_.Lock(Path("LOCK")).ok());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RealEnvTest, ForkedChildDoesNotKeepTheLock) {
  auto lock = files_.Lock(Path("LOCK"));
  ASSERT_TRUE(lock.ok());
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  // Not by the destructor, which unlocks: a second child holds the lock and is killed, with a child
  // of its own.
  lock->reset();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t owner = ::fork();
  if (owner == 0) {
    auto own = files_.Lock(Path("LOCK"));
    if (::fork() == 0) {
      // Written by the grandchild itself: it gives the lock up before its fork() returns.
      const pid_t self = ::getpid();
      static_cast<void>(!::write(ready[1], &self, sizeof(self)));
    }
    for (;;) ::pause();
  }
  pid_t grandchild = 0;
  ASSERT_EQ(::read(ready[0], &grandchild, sizeof(grandchild)),
            static_cast<ssize_t>(sizeof(grandchild)));
  EXPECT_FALSE(files_.Lock(Path("LOCK")).ok());
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  EXPECT_TRUE(files_.Lock(Path("LOCK")).ok());
  ::kill(grandchild, SIGKILL);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RealEnvTest, EveryCallPassesItsFailpoint) {
  Write("a", "123");
  auto writable = files_.Create(Path("w"));
  auto readable = files_.Open(Path("a"));
  ASSERT_TRUE(writable.ok() && readable.ok());
  std::string out;
  ScopedFailpoints points;
  const auto fails = [&](const char* name, auto call) {
    points.Watch(name);
    points.FailFrom(1, Status::IoError("injected"));
    const Status status = call();
    return status.message() == "injected" && points.hits() == 1;
  };
  EXPECT_TRUE(fails("fs.create", [&] { return files_.Create(Path("n")).status(); }));
  EXPECT_TRUE(fails("fs.open", [&] { return files_.Open(Path("a")).status(); }));
  EXPECT_TRUE(fails("fs.open", [&] { return files_.ReadAll(Path("a")).status(); }));
  EXPECT_TRUE(fails("fs.append", [&] { return (*writable)->Append("x"); }));
  EXPECT_TRUE(fails("fs.writeback", [&] { return EarlyOf(*writable)->StartWriteback(); }));
  EXPECT_TRUE(fails("fs.sync", [&] { return (*writable)->Sync(); }));
  EXPECT_TRUE(fails("fs.close", [&] { return (*writable)->Close(); }));
  EXPECT_TRUE(fails("fs.read", [&] { return (*readable)->ReadAt(0, 1, &out); }));
  EXPECT_TRUE(fails("fs.stat", [&] { return (*readable)->Size().status(); }));
  EXPECT_TRUE(fails("fs.rename", [&] { return files_.Rename(Path("a"), Path("b")); }));
  EXPECT_TRUE(fails("fs.remove", [&] { return files_.Remove(Path("a")); }));
  EXPECT_TRUE(fails("fs.sync_directory", [&] { return files_.SyncDirectory(root_); }));
  EXPECT_TRUE(fails("fs.mkdir", [&] { return files_.MakeDirectories(Path("d")); }));
  EXPECT_TRUE(fails("fs.list", [&] { return files_.List(root_).status(); }));
  EXPECT_TRUE(fails("fs.stat", [&] { return files_.Stat(root_).status(); }));
  EXPECT_TRUE(fails("fs.lock", [&] { return files_.Lock(Path("LOCK")).status(); }));
  points.Watch("never.hit");
  EXPECT_EQ(*files_.ReadAll(Path("a")), "123") << "a failed call must not have taken effect";
}

TEST_F(RealEnvTest, ClocksMoveForward) {
  EXPECT_GT(RealEnv().NowMs(), 1'577'836'800'000);
  const int64_t start_ns = RealEnv().SteadyNs();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  EXPECT_GE(RealEnv().SteadyNs() - start_ns, 2'000'000);
}

TEST_F(RealEnvTest, RandomNumbersDiffer) {
  std::set<uint64_t> seen;
  for (int i = 0; i < 100; ++i) seen.insert(RealEnv().Random64());
  EXPECT_EQ(seen.size(), 100u);
}

TEST_F(RealEnvTest, ThreadRunsAndIsJoined) {
  std::atomic<int> runs{0};
  auto joined = RealEnv().StartThread("a-name-longer-than-the-kernel-takes", [&] { ++runs; });
  ASSERT_NE(joined, nullptr);
  joined->Join();
  EXPECT_EQ(runs, 1);
  RealEnv().StartThread("dropped", [&] { ++runs; }).reset();
  EXPECT_EQ(runs, 2) << "destroying a thread waits for it";
}

// Counts finished works and waits for a number of them.
class Latch {
 public:
  void Done() {
    const std::lock_guard<std::mutex> guard(mutex_);
    ++done_;
    wake_.notify_all();
  }
  bool WaitFor(int wanted) {
    std::unique_lock<std::mutex> guard(mutex_);
    return wake_.wait_for(guard, std::chrono::seconds(20), [&] { return done_ >= wanted; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  int done_ = 0;
};

TEST_F(RealEnvTest, BackgroundWorkRunsOnOtherThreads) {
  auto latch = std::make_shared<Latch>();
  std::atomic<bool> inline_run{false};
  const auto caller = std::this_thread::get_id();
  for (int i = 0; i < 200; ++i) {
    RealEnv().RunInBackground([&inline_run, caller, latch] {
      if (std::this_thread::get_id() == caller) inline_run = true;
      latch->Done();
    });
  }
  EXPECT_TRUE(latch->WaitFor(200));
  EXPECT_FALSE(inline_run);
}

TEST_F(RealEnvTest, TwoBackgroundWorksRunAtTheSameTime) {
  auto both = std::make_shared<Latch>();
  auto finished = std::make_shared<Latch>();
  for (int i = 0; i < 2; ++i) {
    RealEnv().RunInBackground([both, finished] {
      both->Done();
      if (both->WaitFor(2)) finished->Done();
    });
  }
  EXPECT_TRUE(finished->WaitFor(2));
}

TEST_F(RealEnvTest, BackgroundWorkRunsInAForkedChildAndDoesNotBlockItsExit) {
  // The parent's threads wait while it forks. One that starts or ends then may hold the allocator's
  // lock, which a sanitizer's allocator leaves locked in the child.
  auto running = std::make_shared<Latch>();
  auto forked = std::make_shared<Latch>();
  const auto wait = [running, forked] {
    running->Done();
    forked->WaitFor(1);
  };
  RealEnv().RunInBackground(wait);
  auto thread = RealEnv().StartThread("parents", wait);
  ASSERT_TRUE(running->WaitFor(2));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    thread->Join();  // a thread of the parent: nothing to wait for
    auto latch = std::make_shared<Latch>();
    RealEnv().RunInBackground([latch] { latch->Done(); });
    const bool ran = latch->WaitFor(1);
    RealEnv().RunInBackground([] { ::sleep(20); });
    ::_exit(ran ? 0 : 1);
  }
  forked->Done();
  int state = 0;
  ASSERT_EQ(::waitpid(child, &state, 0), child);
  ASSERT_TRUE(WIFEXITED(state));
  EXPECT_EQ(WEXITSTATUS(state), 0);
  thread->Join();
}

}  // namespace
}  // namespace headrace
