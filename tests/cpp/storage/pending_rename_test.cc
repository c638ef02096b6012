#include "headrace/storage/pending_rename.h"

#include <gtest/gtest.h>

#include "testing/failpoint_actions.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

class PendingRenameTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(files_.MakeDirectories("/out").ok()); }

  static void Prepare(SimFileSystem& files, const std::string& name,
                      std::vector<PendingRename>* renames) {
    PendingRename rename{"/out/." + name + ".tmp", "/out/" + name, 5, Hash128("hello")};
    auto file = files.Create(rename.temporary_path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append("hello").ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
    ASSERT_TRUE(files.SyncDirectory("/out").ok());
    renames->push_back(rename);
  }

  SimEnv env_{1};
  SimFileSystem& files_ = env_.sim_files();
  std::vector<PendingRename> renames_;
};

TEST_F(PendingRenameTest, PublishesAndIsIdempotent) {
  Prepare(files_, "a", &renames_);
  Prepare(files_, "b", &renames_);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(PublishAll(files_, renames_).ok());
  EXPECT_EQ(*files_.List("/out"), (std::vector<std::string>{"a", "b"}));
  env_.Crash(CrashKind::kPowerLoss);
  EXPECT_EQ(*files_.List("/out"), (std::vector<std::string>{"a", "b"}));
}

TEST_F(PendingRenameTest, CompletesAfterACrashAtEveryCall) {
  for (uint64_t k = 1;; ++k) {
    bool finished = false;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SimEnv env(seed);
      SimFileSystem& files = env.sim_files();
      ASSERT_TRUE(files.MakeDirectories("/out").ok());
      std::vector<PendingRename> renames;
      Prepare(files, "a", &renames);
      Prepare(files, "b", &renames);
      {
        ScopedFailpoints points;
        points.FailFrom(k, Status::IoError("power"));
        finished = PublishAll(files, renames).ok();
      }
      env.Crash(CrashKind::kPowerLoss);
      const Status again = PublishAll(files, renames);
      ASSERT_TRUE(again.ok()) << k << " " << seed << " " << again.ToString();
      ASSERT_EQ(*files.ReadAll("/out/a"), "hello");
      ASSERT_EQ(*files.ReadAll("/out/b"), "hello");
    }
    if (finished) break;
  }
}

TEST_F(PendingRenameTest, LostAndForeignFilesAreCorruption) {
  Prepare(files_, "a", &renames_);
  ASSERT_TRUE(files_.Remove("/out/.a.tmp").ok());
  const Status lost = PublishAll(files_, renames_);
  EXPECT_EQ(lost.code(), StatusCode::kCorruption);
  EXPECT_NE(lost.message().find("neither '/out/.a.tmp' nor '/out/a' exists"), std::string::npos);

  auto file = files_.Create("/out/a");
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append("hellO").ok());
  EXPECT_EQ(PublishAll(files_, renames_).code(), StatusCode::kCorruption);
}

TEST_F(PendingRenameTest, TemporaryOfAnotherLengthIsCorruption) {
  Prepare(files_, "a", &renames_);
  ASSERT_TRUE(files_.CutFile("/out/.a.tmp", 4).ok());
  EXPECT_EQ(PublishAll(files_, renames_).code(), StatusCode::kCorruption);
}

TEST_F(PendingRenameTest, DirectoryOfAPublishedTemporaryMayBeGone) {
  ASSERT_TRUE(files_.MakeDirectories("/tmp").ok());
  Prepare(files_, "a", &renames_);
  ASSERT_TRUE(PublishAll(files_, renames_).ok());
  renames_[0].temporary_path = "/gone/.a.tmp";
  EXPECT_TRUE(PublishAll(files_, renames_).ok());
}

}  // namespace
}  // namespace headrace
