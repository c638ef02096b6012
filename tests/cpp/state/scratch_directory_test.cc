#include "headrace/state/scratch_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "state/cold_store_fixture.h"
#include "testing/failpoint_actions.h"

namespace headrace {
namespace {

namespace fs = std::filesystem;

TEST(ScratchDirectoryTest, is_empty_when_made_and_gone_with_its_owner) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/a/b";
  fs::create_directories(path + "/old/inner");
  std::ofstream(path + "/old/inner/file") << "left";
  std::ofstream(path + "/file") << "left";
  auto made = ScratchDirectory::Make(&RealEnv().files(), path);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)->path(), path);
  const auto names = RealEnv().files().List(path);
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(*names, std::vector<std::string>{"LOCK"});
  fs::create_directories(path + "/new");
  std::ofstream(path + "/new/file") << "mine";
  made = Status::NotFound("given up");
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::exists(folder.path() + "/a"));
}

TEST(ScratchDirectoryTest, one_in_use_is_refused_and_keeps_its_files) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/state";
  auto first = ScratchDirectory::Make(&RealEnv().files(), path);
  ASSERT_TRUE(first.ok());
  std::ofstream(path + "/file") << "mine";
  const auto second = ScratchDirectory::Make(&RealEnv().files(), path);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::exists(path + "/file"));
}

TEST(ScratchDirectoryTest, what_a_link_inside_points_to_stays) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/state";
  fs::create_directories(folder.path() + "/precious");
  std::ofstream(folder.path() + "/precious/file") << "keep";
  fs::create_directories(path);
  fs::create_directory_symlink(folder.path() + "/precious", path + "/link");
  { ASSERT_TRUE(ScratchDirectory::Make(&RealEnv().files(), path).ok()); }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(fs::exists(folder.path() + "/precious/file"));
}

TEST(ScratchDirectoryTest, what_cannot_be_removed_at_the_end_is_removed_by_the_next_owner) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/state";
  {
    auto made = ScratchDirectory::Make(&RealEnv().files(), path);
    ASSERT_TRUE(made.ok());
    std::ofstream(path + "/file") << "mine";
    ScopedFailpoints failpoints;
    failpoints.Watch("fs.remove");
    failpoints.FailFrom(1, Status::IoError("no"));
    made = Status::NotFound("given up");
  }
  EXPECT_TRUE(fs::exists(path + "/file"));
  const auto again = ScratchDirectory::Make(&RealEnv().files(), path);
  ASSERT_TRUE(again.ok());
  EXPECT_FALSE(fs::exists(path + "/file"));
}

}  // namespace
}  // namespace headrace
