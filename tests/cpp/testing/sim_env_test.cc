#include "testing/sim_env.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>

#include "testing/failpoint_actions.h"

namespace headrace {
namespace {

constexpr uint64_t kSeeds = 300;

void Write(SimFileSystem& files, const std::string& path, std::string_view content, bool sync) {
  auto file = files.Create(path);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  ASSERT_TRUE((*file)->Append(content).ok());
  if (sync) {
    ASSERT_TRUE((*file)->Sync().ok());
  }
  ASSERT_TRUE((*file)->Close().ok());
}

// Content of a file, or nothing where there is none.
std::optional<std::string> Read(SimFileSystem& files, const std::string& path) {
  auto content = files.ReadAll(path);
  if (!content.ok()) return std::nullopt;
  return *content;
}

// Every outcome that `look` sees after `act` and a power loss, over many seeds.
std::set<std::string> Outcomes(const std::function<void(SimFileSystem&)>& act,
                               const std::function<std::string(SimFileSystem&)>& look) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    EXPECT_TRUE(env.files().MakeDirectories("/d/sub").ok());
    act(env.sim_files());
    env.Crash(CrashKind::kPowerLoss);
    seen.insert(look(env.sim_files()));
  }
  return seen;
}

std::string Names(SimFileSystem& files) {
  std::string text;
  auto names = files.List("/d");
  EXPECT_TRUE(names.ok());
  for (const std::string& name : *names) {
    if (name != "sub") text += name + "=" + *Read(files, "/d/" + name) + ";";
  }
  return text;
}

using Set = std::set<std::string>;

TEST(SimFilesTest, SyncedFileWithSyncedNameAlwaysSurvives) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/a", "hello", true);
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
  };
  EXPECT_EQ(Outcomes(act, Names), (Set{"a=hello;"}));
}

TEST(SimFilesTest, NameWithoutDirectorySyncMayBeLost) {
  const auto act = [](SimFileSystem& files) { Write(files, "/d/a", "hello", true); };
  EXPECT_EQ(Outcomes(act, Names), (Set{"", "a=hello;"}));
}

TEST(SimFilesTest, UnsyncedContentMayBeThereTornOrGone) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/a", "abc", false);
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
  };
  const Set seen = Outcomes(act, Names);
  EXPECT_EQ(seen, (Set{"a=;", "a=a;", "a=ab;", "a=abc;", std::string("a=\0\0\0;", 6)}));
}

TEST(SimFilesTest, LaterAppendMaySurviveAnEarlierOne) {
  const auto act = [](SimFileSystem& files) {
    auto file = files.Create("/d/a");
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
    ASSERT_TRUE((*file)->Append("ab").ok());
    ASSERT_TRUE((*file)->Append("cd").ok());
  };
  const Set seen = Outcomes(act, Names);
  EXPECT_TRUE(seen.count(std::string("a=\0\0cd;", 7)));
  EXPECT_TRUE(seen.count("a=abcd;"));
  EXPECT_TRUE(seen.count("a=;"));
}

TEST(SimFilesTest, SyncedPrefixSurvivesWhateverFollowsIt) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SimEnv env(seed);
    ASSERT_TRUE(env.files().MakeDirectories("/d").ok());
    auto file = env.files().Create("/d/a");
    ASSERT_TRUE(env.files().SyncDirectory("/d").ok());
    const std::string safe(700, 's');
    ASSERT_TRUE((*file)->Append(safe).ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Append(std::string(2000, 'u')).ok());
    env.Crash(CrashKind::kPowerLoss);
    const auto content = Read(env.sim_files(), "/d/a");
    ASSERT_TRUE(content.has_value());
    ASSERT_GE(content->size(), safe.size());
    ASSERT_EQ(content->substr(0, safe.size()), safe);
  }
}

TEST(SimFilesTest, RenameWithoutDirectorySyncMayBeLost) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/a", "old", true);
    Write(files, "/d/tmp", "new", true);
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
    ASSERT_TRUE(files.Rename("/d/tmp", "/d/a").ok());
  };
  EXPECT_EQ(Outcomes(act, Names), (Set{"a=new;", "a=old;tmp=new;"}));
}

TEST(SimFilesTest, RenameMaySurviveWhileUnsyncedContentDoesNot) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/a", "old", true);
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
    Write(files, "/d/tmp", "new", false);
    ASSERT_TRUE(files.Rename("/d/tmp", "/d/a").ok());
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
  };
  const Set seen = Outcomes(act, Names);
  EXPECT_TRUE(seen.count("a=;")) << "zero-length file after a rename without fsync";
  EXPECT_TRUE(seen.count("a=new;"));
  EXPECT_FALSE(seen.count("a=old;"));
}

TEST(SimFilesTest, SyncedRenameIsDurable) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/tmp", "new", true);
    ASSERT_TRUE(files.Rename("/d/tmp", "/d/a").ok());
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
  };
  EXPECT_EQ(Outcomes(act, Names), (Set{"a=new;"}));
}

TEST(SimFilesTest, RenameAcrossDirectoriesNeverLosesTheFile) {
  for (const char* synced : {"", "/d", "/d/sub"}) {
    const auto act = [synced](SimFileSystem& files) {
      Write(files, "/d/a", "x", true);
      ASSERT_TRUE(files.SyncDirectory("/d").ok());
      ASSERT_TRUE(files.Rename("/d/a", "/d/sub/b").ok());
      if (*synced != '\0') {
        ASSERT_TRUE(files.SyncDirectory(synced).ok());
      }
    };
    const auto look = [](SimFileSystem& files) {
      return std::string(Read(files, "/d/a").has_value() ? "a" : "") +
             (Read(files, "/d/sub/b").has_value() ? "b" : "");
    };
    const Set seen = Outcomes(act, look);
    EXPECT_FALSE(seen.count("")) << synced;
    EXPECT_TRUE(seen.count("b")) << synced;
  }
}

TEST(SimFilesTest, RemovedFileMayComeBack) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/a", "x", true);
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
    ASSERT_TRUE(files.Remove("/d/a").ok());
  };
  EXPECT_EQ(Outcomes(act, Names), (Set{"", "a=x;"}));
}

TEST(SimFilesTest, NameChangesSurviveIndependently) {
  const auto act = [](SimFileSystem& files) {
    Write(files, "/d/a", "", true);
    Write(files, "/d/b", "", true);
  };
  EXPECT_EQ(Outcomes(act, Names), (Set{"", "a=;", "b=;", "a=;b=;"}));
}

TEST(SimFilesTest, ACrashCanBeToldWhatItLeaves) {
  // The name is lost or kept; what was appended to a file that is there: nothing, all, half, zeros.
  Set seen;
  for (const uint64_t name : {0, 1}) {
    for (uint64_t remains = 0; remains < kAppendRemains; ++remains) {
      SimEnv env(1);
      ASSERT_TRUE(env.files().MakeDirectories("/d").ok());
      Write(env.sim_files(), "/d/a", "abcd", false);
      std::vector<uint64_t> bounds;
      env.CrashChoosing([&](uint64_t bound) {
        bounds.push_back(bound);
        return bounds.size() == 1 ? name : remains;
      });
      EXPECT_EQ(bounds,
                name == 0 ? std::vector<uint64_t>{2} : (std::vector<uint64_t>{2, kAppendRemains}));
      seen.insert(Names(env.sim_files()));
    }
  }
  EXPECT_EQ(seen, (Set{"", "a=;", "a=abcd;", "a=ab;", "a=" + std::string(4, '\0') + ";"}));
}

TEST(SimFilesTest, FailedSyncIsNotRepairedByTheNext) {
  const auto act = [](SimFileSystem& files) {
    auto file = files.Create("/d/a");
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
    ASSERT_TRUE((*file)->Append("x").ok());
    FaultPlan plan;
    plan[FsCall::kSync].io_error = 1;
    files.set_faults(plan);
    ASSERT_EQ((*file)->Sync().code(), StatusCode::kIoError);
    files.set_faults({});
    ASSERT_TRUE((*file)->Sync().ok());
  };
  EXPECT_TRUE(Outcomes(act, Names).count("a=;"));
}

TEST(SimFilesTest, KilledProcessLosesNothingThatWasWritten) {
  SimEnv env(1);
  ASSERT_TRUE(env.files().MakeDirectories("/d").ok());
  Write(env.sim_files(), "/d/a", "x", false);
  env.Crash(CrashKind::kProcessKill);
  EXPECT_EQ(Read(env.sim_files(), "/d/a"), "x");
}

TEST(SimFilesTest, CrashFreesLocksAndKillsHandles) {
  for (const CrashKind kind : {CrashKind::kProcessKill, CrashKind::kPowerLoss}) {
    SimEnv env(1);
    FileSystem& files = env.files();
    ASSERT_TRUE(files.MakeDirectories("/d").ok());
    auto lock = files.Lock("/d/LOCK");
    ASSERT_TRUE(lock.ok());
    EXPECT_EQ(files.Lock("/d/LOCK").status().code(), StatusCode::kFailedPrecondition);
    auto writer = files.Create("/d/a");
    auto reader = files.Open("/d/a");
    ASSERT_TRUE(writer.ok() && reader.ok());
    env.Crash(kind);
    std::string out;
    EXPECT_EQ((*writer)->Append("x").message(), "file '/d/a': crashed");
    EXPECT_EQ((*writer)->Sync().code(), StatusCode::kIoError);
    EXPECT_EQ((*writer)->Close().code(), StatusCode::kIoError);
    EXPECT_EQ((*reader)->ReadAt(0, 0, &out).code(), StatusCode::kIoError);
    EXPECT_EQ((*reader)->Size().status().code(), StatusCode::kIoError);
    auto next = files.Lock("/d/LOCK");
    ASSERT_TRUE(next.ok());
    lock->reset();  // of the dead process: must not free the new owner's
    EXPECT_FALSE(files.Lock("/d/LOCK").ok());
    next->reset();
    EXPECT_TRUE(files.Lock("/d/LOCK").ok());
  }
}

TEST(SimFilesTest, AnswersLikeARealFileSystem) {
  SimEnv env(1);
  FileSystem& files = env.files();
  ASSERT_TRUE(files.MakeDirectories("/d/e").ok());
  Write(env.sim_files(), "/d/a", "123", false);
  EXPECT_EQ(files.Create("/d/a").status().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(files.Create("/none/a").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files.Create("/d/a/b").status().code(), StatusCode::kIoError);
  EXPECT_EQ(files.Open("/d/none").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(files.Open("/d").status().code(), StatusCode::kIoError);
  EXPECT_EQ(files.Open("relative").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(files.Remove("/d").code(), StatusCode::kIoError) << "not empty";
  EXPECT_TRUE(files.Remove("/d/e").ok());
  EXPECT_EQ(files.Rename("/d/none", "/d/b").code(), StatusCode::kNotFound);
  EXPECT_EQ(files.Rename("/d", "/d/b").code(), StatusCode::kIoError);
  EXPECT_EQ(files.MakeDirectories("/d/a/b").code(), StatusCode::kIoError);
  EXPECT_EQ(files.Stat("/d/a")->size_bytes, 3u);
  EXPECT_TRUE(files.Stat("/d")->is_directory);
  EXPECT_FALSE(files.Stat("/d/a/b")->exists);
  EXPECT_EQ(*files.List("/d"), (std::vector<std::string>{"a"}));
  std::string out;
  auto reader = files.Open("/d/a");
  EXPECT_EQ((*reader)->ReadAt(2, 2, &out).code(), StatusCode::kCorruption);
  EXPECT_TRUE(files.Rename("/d", "/e").ok());
  EXPECT_EQ(*files.ReadAll("/e/a"), "123");
}

TEST(SimFilesTest, FullDiskTakesWhatFits) {
  SimEnv env(1);
  ASSERT_TRUE(env.files().MakeDirectories("/d").ok());
  env.sim_files().set_capacity_bytes(5);
  auto file = env.files().Create("/d/a");
  EXPECT_EQ((*file)->Append("12345678").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Read(env.sim_files(), "/d/a"), "12345");
  ASSERT_TRUE(env.files().Remove("/d/a").ok());
  EXPECT_EQ(env.sim_files().used_bytes(), 0u);
}

TEST(SimFilesTest, FaultsAreInjectedAndCounted) {
  SimEnv env(5);
  SimFileSystem& files = env.sim_files();
  ASSERT_TRUE(files.MakeDirectories("/d").ok());
  files.set_faults(FaultPlan::Uniform(0.2));
  const int64_t start_ns = env.SteadyNs();
  int failed = 0;
  for (int i = 0; i < 500; ++i) {
    auto file = files.Create("/d/" + std::to_string(i));
    if (!file.ok()) {
      ++failed;
      EXPECT_TRUE(file.status().message().starts_with("injected: fs.create('/d/"));
      continue;
    }
    failed += (*file)->Append("0123456789").ok() ? 0 : 1;
    failed += (*file)->Sync().ok() ? 0 : 1;
    failed += (*file)->Close().ok() ? 0 : 1;
  }
  const FaultCounts& counts = files.fault_counts();
  EXPECT_GT(counts.slow, 0u);
  EXPECT_GT(counts.io_errors, 0u);
  EXPECT_GT(counts.no_space, 0u);
  EXPECT_GT(counts.short_writes, 0u);
  EXPECT_EQ(counts.bit_flips, 0u);
  EXPECT_EQ(static_cast<uint64_t>(failed),
            counts.io_errors + counts.no_space + counts.short_writes);
  EXPECT_EQ(env.SteadyNs() - start_ns, static_cast<int64_t>(counts.slow) * 10'000'000'000);
}

TEST(SimFilesTest, ReadsFlipOneBitWhenAskedTo) {
  SimEnv env(5);
  SimFileSystem& files = env.sim_files();
  ASSERT_TRUE(files.MakeDirectories("/d").ok());
  Write(files, "/d/a", "abc", true);
  FaultPlan plan;
  plan[FsCall::kRead].bit_flip = 1;
  files.set_faults(plan);
  const auto damaged = Read(files, "/d/a");
  ASSERT_TRUE(damaged.has_value());
  EXPECT_NE(*damaged, "abc");
  EXPECT_EQ(files.fault_counts().bit_flips, 1u);
  files.set_faults({});
  EXPECT_EQ(Read(files, "/d/a"), "abc") << "what is stored is whole";
  ASSERT_TRUE(files.FlipBit("/d/a", 0).ok());
  env.Crash(CrashKind::kProcessKill);
  EXPECT_EQ(Read(files, "/d/a"), "`bc");
  EXPECT_FALSE(files.FlipBit("/d/a", 24).ok());
}

TEST(SimFilesTest, ACutFileIsShortAfterAPowerLossToo) {
  SimEnv env(5);
  SimFileSystem& files = env.sim_files();
  ASSERT_TRUE(files.MakeDirectories("/d").ok());
  Write(files, "/d/a", "abcdef", true);
  ASSERT_TRUE(files.SyncDirectory("/d").ok());
  ASSERT_TRUE(files.CutFile("/d/a", 2).ok());
  EXPECT_EQ(Read(files, "/d/a"), "ab");
  env.Crash(CrashKind::kPowerLoss);
  EXPECT_EQ(Read(files, "/d/a"), "ab");
  EXPECT_FALSE(files.CutFile("/d/a", 3).ok());
}

TEST(SimFilesTest, CallsPassTheFailpointsOfTheRealFileSystem) {
  SimEnv env(1);
  FileSystem& files = env.files();
  ASSERT_TRUE(files.MakeDirectories("/d").ok());
  Write(env.sim_files(), "/d/a", "123", true);
  auto writer = files.Create("/d/w");
  auto reader = files.Open("/d/a");
  std::string out;
  ScopedFailpoints points;
  const auto fails = [&](const char* name, auto call) {
    points.Watch(name);
    points.FailFrom(1, Status::IoError("injected"));
    const Status status = call();
    return status.message() == "injected" && points.hits() == 1;
  };
  EXPECT_TRUE(fails("fs.create", [&] { return files.Create("/d/n").status(); }));
  EXPECT_TRUE(fails("fs.open", [&] { return files.ReadAll("/d/a").status(); }));
  EXPECT_TRUE(fails("fs.append", [&] { return (*writer)->Append("x"); }));
  EXPECT_TRUE(fails("fs.sync", [&] { return (*writer)->Sync(); }));
  EXPECT_TRUE(fails("fs.close", [&] { return (*writer)->Close(); }));
  EXPECT_TRUE(fails("fs.read", [&] { return (*reader)->ReadAt(0, 1, &out); }));
  EXPECT_TRUE(fails("fs.stat", [&] { return (*reader)->Size().status(); }));
  EXPECT_TRUE(fails("fs.rename", [&] { return files.Rename("/d/a", "/d/b"); }));
  EXPECT_TRUE(fails("fs.remove", [&] { return files.Remove("/d/a"); }));
  EXPECT_TRUE(fails("fs.sync_directory", [&] { return files.SyncDirectory("/d"); }));
  EXPECT_TRUE(fails("fs.mkdir", [&] { return files.MakeDirectories("/e"); }));
  EXPECT_TRUE(fails("fs.list", [&] { return files.List("/d").status(); }));
  EXPECT_TRUE(fails("fs.stat", [&] { return files.Stat("/d").status(); }));
  EXPECT_TRUE(fails("fs.lock", [&] { return files.Lock("/d/LOCK").status(); }));
}

TEST(SimEnvTest, SameSeedGivesTheSameRun) {
  const auto run = [](uint64_t seed) {
    SimEnv env(seed);
    std::string trace;
    EXPECT_TRUE(env.files().MakeDirectories("/d").ok());
    env.sim_files().set_faults(FaultPlan::Uniform(0.1));
    for (int i = 0; i < 20; ++i) {
      env.RunInBackground([&, i] {
        auto file = env.files().Create("/d/" + std::to_string(i));
        trace += std::to_string(i);
        if (!file.ok()) return;
        trace += (*file)->Append(std::to_string(env.Random64())).ToString();
        trace += (*file)->Sync().ToString();
      });
    }
    env.RunAllBackground();
    env.sim_files().set_faults({});
    env.Crash(CrashKind::kPowerLoss);
    const auto names = env.files().List("/d");
    for (const std::string& name : *names) {
      trace += name + *Read(env.sim_files(), "/d/" + name);
    }
    return trace + std::to_string(env.SteadyNs());
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST(SimEnvTest, BackgroundWorkRunsWhenSteppedInAnOrderOfTheSeed) {
  std::set<std::string> orders;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimEnv env(seed);
    std::string order;
    for (const char* name : {"a", "b", "c"}) env.RunInBackground([&, name] { order += name; });
    EXPECT_EQ(order, "");
    EXPECT_EQ(env.background_pending(), 3u);
    while (env.StepBackground()) {
    }
    EXPECT_EQ(order.size(), 3u);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 6u);
}

TEST(SimEnvTest, CrashDropsBackgroundWork) {
  SimEnv env(1);
  bool ran = false;
  env.RunInBackground([&] { ran = true; });
  env.Crash(CrashKind::kProcessKill);
  EXPECT_FALSE(env.StepBackground());
  EXPECT_FALSE(ran);
}

TEST(SimEnvTest, TimePassesOnlyWhenTold) {
  SimEnv env(1);
  const int64_t wall_ms = env.NowMs();
  EXPECT_EQ(env.NowMs(), wall_ms);
  env.clock().AdvanceMs(1500);
  EXPECT_EQ(env.NowMs(), wall_ms + 1500);
  EXPECT_EQ(env.SteadyNs(), 1'500'000'000);
  env.clock().JumpWallMs(-5000);
  EXPECT_EQ(env.NowMs(), wall_ms - 3500);
  EXPECT_EQ(env.SteadyNs(), 1'500'000'000);
}

TEST(SimEnvDeathTest, StartingAThreadIsABug) {
  SimEnv env(1);
  EXPECT_DEATH(env.StartThread("kafka-poll", [] {}), "one thread; 'kafka-poll'");
}

}  // namespace
}  // namespace headrace
