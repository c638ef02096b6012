#include "headrace/checkpoint/state_partition.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/types/value_codec.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

constexpr char kDirectory[] = "/partitions";

std::string KeyOf(int64_t number) {
  ByteWriter out;
  EncodeInt(number, &out);
  return out.Take();
}

std::vector<PartitionEntry> Entries(size_t count) {
  std::vector<PartitionEntry> entries;
  for (size_t i = 0; i < count; ++i) {
    const auto number = static_cast<int64_t>(i * 7919);
    entries.push_back({KeyOf(number), KeyOf(number + 1)});
  }
  return entries;
}

class StatePartitionTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env_.files().MakeDirectories(kDirectory).ok()); }

  Result<SavedPartition> Save(const std::vector<PartitionEntry>& entries, uint64_t version = 1) {
    StoredPartitionSpec spec;
    spec.directory = kDirectory;
    spec.name = "part";
    spec.data_name = "part-" + std::to_string(version) + ".data";
    spec.version = version;
    return SaveStatePartition(&env_, spec, entries);
  }
  Result<std::vector<PartitionEntry>> Load(Manifest* manifest = nullptr) {
    return LoadStatePartition(&env_, std::string(kDirectory) + "/part.manifest", manifest);
  }

  SimEnv env_{1};
};

TEST_F(StatePartitionTest, any_number_of_entries_comes_back_in_their_order) {
  uint64_t version = 0;
  // Positions are counted in words of 64.
  for (const size_t count : {0u, 1u, 63u, 64u, 65u, 128u, 500u}) {
    const std::vector<PartitionEntry> entries = Entries(count);
    const auto saved = Save(entries, ++version);
    ASSERT_TRUE(saved.ok()) << saved.status().ToString();
    Manifest manifest;
    const auto loaded = Load(&manifest);
    ASSERT_TRUE(loaded.ok()) << count << ": " << loaded.status().ToString();
    ASSERT_EQ(loaded->size(), count);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ((*loaded)[i].key, entries[i].key) << i << " of " << count;
      EXPECT_EQ((*loaded)[i].value, entries[i].value) << i << " of " << count;
    }
    EXPECT_EQ(manifest.id, version);
    EXPECT_EQ(manifest.job_key, "part");
    EXPECT_TRUE(Load().ok());
  }
}

TEST_F(StatePartitionTest, new_version_takes_the_place_of_what_a_killed_writer_left) {
  ASSERT_TRUE(Save(Entries(3), 1).ok());
  auto left = env_.files().Create(std::string(kDirectory) + "/part.manifest.tmp");
  ASSERT_TRUE(left.ok());
  ASSERT_TRUE((*left)->Append("half of it").ok() && (*left)->Close().ok());
  ASSERT_TRUE(Save(Entries(5), 2).ok());
  EXPECT_EQ(Load()->size(), 5u);
}

TEST_F(StatePartitionTest, key_that_comes_twice_is_refused) {
  std::vector<PartitionEntry> entries = Entries(3);
  entries[2].key = entries[0].key;
  const Status refused = Save(entries).status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("twice"), std::string::npos) << refused.message();
}

TEST_F(StatePartitionTest, any_other_checkpoint_is_no_partition) {
  const auto refused = [&](Manifest manifest) {
    ++manifest.id;
    const std::string path =
        std::string(kDirectory) + "/chk-" + std::to_string(manifest.id) + ".manifest";
    manifest.job_key = "job";
    auto file = env_.files().Create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append(SerializeManifest(manifest)).ok() && (*file)->Close().ok());
    const Status status = LoadStatePartition(&env_, path, nullptr).status();
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.ToString();
    EXPECT_NE(status.message().find("not a state partition"), std::string::npos);
  };
  Manifest manifest;
  refused(manifest);
  manifest.id = 1;
  OperatorManifest& op = manifest.operators.emplace_back();
  op.operator_id = op.name = "one";
  op.kind = "process";
  refused(manifest);
  manifest.id = 2;
  manifest.operators.front().kind = "state_partition";
  manifest.operators.push_back(manifest.operators.front());
  manifest.operators.back().operator_id = "two";
  refused(manifest);
}

}  // namespace
}  // namespace headrace
