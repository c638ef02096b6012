#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "headrace/checkpoint/stored_checkpoint.h"
#include "recovery/small_job.h"

// A checkpoint of a real job, damaged in every way a disk or a person can: the job that should
// resume from it is refused before it has a single task, and the message names file and offset.

namespace headrace {
namespace {

constexpr CheckpointId kCheckpoints = 3;

// A job killed with `kCheckpoints` complete checkpoints, and sometimes one more that is decided and
// not yet published.
class Killed {
 public:
  Killed(bool before_publication, std::string job_key = "small", uint64_t seed = 1)
      : job(seed, std::move(job_key)) {
    auto started = job.Start();
    EXPECT_TRUE(started.ok()) << started.status().ToString();
    const bool ended = job.Run(started->get(),
                               [&] { return job.ProgressOf(**started).completed >= kCheckpoints; });
    EXPECT_FALSE(ended) << "the job is too short";
    if (before_publication) DieBeforeNextPublication(started->get());
    newest = job.ProgressOf(**started).visible;
    job.env.Crash(CrashKind::kProcessKill);
    auto read = ReadManifestFile(job.env.files(), job.ManifestPath(newest));
    EXPECT_TRUE(read.ok()) << read.status().ToString();
    manifest = std::move(read).value();
  }

  // Manifest, state files and output of the newest checkpoint.
  std::vector<std::string> StatePaths() const {
    std::vector<std::string> paths = {job.ManifestPath(newest)};
    for (const FileManifest& file : manifest.files) paths.push_back(InDirectory(file.name));
    return paths;
  }
  std::vector<std::string> PartPaths(bool published) const {
    std::vector<std::string> paths;
    for (const PendingRename& rename : manifest.renames) {
      paths.push_back(published ? rename.final_path : rename.temporary_path);
    }
    return paths;
  }
  std::string InDirectory(const std::string& name) const { return job.directory() + "/" + name; }
  std::string Read(const std::string& path) { return job.env.files().ReadAll(path).value(); }
  void Write(const std::string& path, const std::string& bytes) {
    FileSystem& files = job.env.files();
    const Status removed = files.Remove(path);
    ASSERT_TRUE(removed.ok() || removed.code() == StatusCode::kNotFound) << removed.ToString();
    auto file = files.Create(path);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    ASSERT_TRUE((*file)->Append(bytes).ok());
    ASSERT_TRUE((*file)->Close().ok());
  }

  // Whoever resumes, by directory or by path, is told which file is damaged and where.
  void ExpectRefused(const std::string& path, const std::string& what) {
    for (const std::string& from : {std::string("latest"), job.ManifestPath(newest)}) {
      ++refused;
      const auto started = job.Start(from);
      ASSERT_FALSE(started.ok()) << path << ": " << what << ", resumed from " << from;
      const std::string& message = started.status().message();
      ASSERT_NE(message.find(path), std::string::npos) << what << ": " << message;
      ASSERT_NE(message.find("offset "), std::string::npos) << what << ": " << message;
    }
  }
  void ExpectEveryFlipRefused(const std::string& path, uint64_t bits_apart) {
    const uint64_t bits = Read(path).size() * 8;
    // Another bit of each byte where not all are tried.
    for (uint64_t bit = 0; bit < bits; bit += bits_apart) {
      const uint64_t flipped = bits_apart == 1 ? bit : bit / 8 * 8 + bit / 8 % 8;
      ASSERT_TRUE(job.env.sim_files().FlipBit(path, flipped).ok());
      ASSERT_NO_FATAL_FAILURE(ExpectRefused(path, "bit " + std::to_string(flipped)));
      ASSERT_TRUE(job.env.sim_files().FlipBit(path, flipped).ok());
    }
  }
  void ExpectOtherLengthsAndZerosRefused(const std::string& path) {
    const std::string good = Read(path);
    ASSERT_FALSE(good.empty()) << path;
    const auto expect_refused = [&](const std::string& bytes, const std::string& what) {
      ASSERT_NO_FATAL_FAILURE(Write(path, bytes));
      ASSERT_NO_FATAL_FAILURE(ExpectRefused(path, what));
    };
    for (size_t size = 0; size < good.size(); ++size) {
      ASSERT_NO_FATAL_FAILURE(
          expect_refused(good.substr(0, size), std::to_string(size) + " bytes"));
    }
    ASSERT_NO_FATAL_FAILURE(expect_refused(good + '\0', "a zero more"));
    ASSERT_NO_FATAL_FAILURE(expect_refused(good + good, "twice"));
    ASSERT_NO_FATAL_FAILURE(expect_refused(std::string(good.size(), '\0'), "zeros"));
    ASSERT_NO_FATAL_FAILURE(Write(path, good));
  }
  // The harness itself: undamaged, it resumes and ends right.
  void ExpectResumes() {
    auto started = job.Start();
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    const Status ended = job.Finish(started->get());
    ASSERT_TRUE(ended.ok()) << ended.ToString();
    EXPECT_EQ(SmallJob::ResumedFrom(**started), newest);
    EXPECT_EQ(job.OutputLines(), job.ExpectedLines());
    std::cout << refused << " damaged checkpoints, all refused\n";
  }

  SmallJob job;
  CheckpointId newest = 0;
  Manifest manifest;
  uint64_t refused = 0;

 private:
  // Every rename of output fails from now on: the process dies when the first is tried.
  void DieBeforeNextPublication(Job* running) {
    bool dead = false;
    const FileCallWatch watch([&](uint64_t, std::string_view call, std::string_view path) {
      dead |= call == "fs.rename" && path.starts_with(SmallJob::kOutput);
      return dead ? Status::IoError("the process is dead") : Status::Ok();
    });
    EXPECT_FALSE(job.Run(running, [&] { return dead; })) << "the job is too short";
  }
};

TEST(DamagedCheckpoint, EveryFlippedBitOfTheManifestIsRefused) {
  Killed killed(/*before_publication=*/false);
  const auto output = killed.job.Output();
  ASSERT_NO_FATAL_FAILURE(killed.ExpectEveryFlipRefused(killed.StatePaths().front(), 1));
  EXPECT_GT(killed.refused, 10'000u);
  EXPECT_EQ(killed.job.Output(), output) << "a refused job has touched committed output";
  killed.ExpectResumes();
}

TEST(DamagedCheckpoint, EveryDamagedByteOfStateAndOutputIsRefused) {
  for (const bool before_publication : {false, true}) {
    SCOPED_TRACE(before_publication ? "before publication" : "after publication");
    Killed killed(before_publication);
    const auto output = killed.job.Output();
    std::vector<std::string> paths = killed.PartPaths(!before_publication);
    ASSERT_FALSE(paths.empty());
    const std::vector<std::string> state = killed.StatePaths();
    ASSERT_GE(state.size(), 4u) << "there should be deltas of several checkpoints";
    paths.insert(paths.end(), state.begin() + 1, state.end());
    for (const std::string& path : paths) {
      ASSERT_NO_FATAL_FAILURE(killed.ExpectEveryFlipRefused(path, 8));
    }
    EXPECT_GT(killed.refused, 2'000u);
    EXPECT_EQ(killed.job.Output(), output) << "a refused job has touched committed output";
    killed.ExpectResumes();
  }
}

TEST(DamagedCheckpoint, EveryOtherLengthIsRefused) {
  for (const bool before_publication : {false, true}) {
    SCOPED_TRACE(before_publication ? "before publication" : "after publication");
    Killed killed(before_publication);
    std::vector<std::string> paths = killed.PartPaths(!before_publication);
    if (!before_publication) {
      const std::vector<std::string> state = killed.StatePaths();
      paths.insert(paths.end(), state.begin(), state.end());
    }
    for (const std::string& path : paths) {
      ASSERT_NO_FATAL_FAILURE(killed.ExpectOtherLengthsAndZerosRefused(path));
    }
    killed.ExpectResumes();
  }
}

TEST(DamagedCheckpoint, SwappedFilesOfOneJobAreRefused) {
  Killed killed(/*before_publication=*/true);
  std::vector<std::string> paths = killed.StatePaths();
  for (const std::string& part : killed.PartPaths(false)) paths.push_back(part);
  // The manifest of the checkpoint before, with all that is whole in it.
  const std::string older = killed.job.ManifestPath(killed.newest - 1);
  for (const std::string& path : paths) {
    const std::string good = killed.Read(path);
    std::vector<std::string> others = paths;
    others.push_back(older);
    for (const std::string& other : others) {
      if (other == path) continue;
      ASSERT_NO_FATAL_FAILURE(killed.Write(path, killed.Read(other)));
      ASSERT_NO_FATAL_FAILURE(killed.ExpectRefused(path, "content of " + other));
    }
    ASSERT_NO_FATAL_FAILURE(killed.Write(path, good));
  }
  EXPECT_GT(killed.refused, 30u);
  killed.ExpectResumes();
}

TEST(DamagedCheckpoint, FilesOfAnotherRunOrJobAreRefused) {
  struct Foreign {
    const char* name;
    std::string job_key;
    uint64_t seed;
  };
  for (const Foreign& foreign : {Foreign{"another run", "small", 3}, {"another job", "other", 1}}) {
    SCOPED_TRACE(foreign.name);
    Killed killed(/*before_publication=*/false);
    Killed other(/*before_publication=*/false, foreign.job_key, foreign.seed);
    const std::vector<std::string> paths = killed.StatePaths();
    const std::vector<std::string> others = other.StatePaths();
    for (size_t i = 1; i < paths.size(); ++i) {
      const std::string good = killed.Read(paths[i]);
      const std::string content = other.Read(others[i % others.size()]);
      ASSERT_NE(content, good);
      ASSERT_NO_FATAL_FAILURE(killed.Write(paths[i], content));
      ASSERT_NO_FATAL_FAILURE(killed.ExpectRefused(paths[i], foreign.name));
      ASSERT_NO_FATAL_FAILURE(killed.Write(paths[i], good));
    }
    const std::string good = killed.Read(paths[0]);
    ASSERT_NO_FATAL_FAILURE(killed.Write(paths[0], other.Read(others[0])));
    // Its files are not here; where they are, by name, they are those of the other run.
    const auto started = killed.job.Start();
    ASSERT_FALSE(started.ok());
    EXPECT_NE(started.status().message().find(killed.job.directory()), std::string::npos);
    EXPECT_NE(started.status().message().find("offset "), std::string::npos)
        << started.status().message();
    ASSERT_NO_FATAL_FAILURE(killed.Write(paths[0], good));
    // And what is no checkpoint at all.
    for (const std::string& path : paths) {
      const std::string whole = killed.Read(path);
      ASSERT_NO_FATAL_FAILURE(
          killed.Write(path, "PNG, or what else a file may hold" + std::string(whole.size(), '.')));
      ASSERT_NO_FATAL_FAILURE(killed.ExpectRefused(path, "not ours"));
      ASSERT_NO_FATAL_FAILURE(killed.Write(path, whole));
    }
    killed.ExpectResumes();
  }
}

}  // namespace
}  // namespace headrace
