#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "headrace/state/page_file_store.h"
#include "state/cold_store_fixture.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

/// A store on simulated files and what must be in it.
class FaultyStore {
 public:
  explicit FaultyStore(uint64_t seed) : env_(seed), random_(static_cast<uint32_t>(seed)) {
    EXPECT_TRUE(env_.files().MakeDirectories("/scratch").ok());
  }

  Status Open() {
    auto opened = factory_->Open(&env_, {"/scratch/store", 1 << 20, 6});
    if (opened.ok()) store_ = std::move(*opened);
    return opened.status();
  }

  /// Writes some rows; the model follows only where that worked.
  Status Write(size_t rows, size_t value_bytes) {
    std::vector<std::string> keys;
    for (size_t i = 0; i < rows; ++i) keys.push_back("key " + std::to_string(random_() % 500));
    std::vector<std::optional<std::string>> values;
    std::vector<ColdWrite> writes;
    for (size_t i = 0; i < rows; ++i) {
      if (random_() % 8 == 0) {
        values.emplace_back();
      } else {
        values.emplace_back(std::string(1 + random_() % value_bytes, static_cast<char>(random_())));
      }
    }
    for (size_t i = 0; i < rows; ++i) writes.push_back({keys[i], values[i]});
    HR_RETURN_IF_ERROR(store_->Apply(writes));
    for (size_t i = 0; i < rows; ++i) {
      if (values[i]) {
        model_[keys[i]] = *values[i];
      } else {
        model_.erase(keys[i]);
      }
    }
    return Status::Ok();
  }

  template <typename Scanned>
  static Result<ColdRows> Read(Scanned* scanned) {
    ColdRows rows;
    HR_RETURN_IF_ERROR(scanned->Scan("", "", [&](std::string_view key, std::string_view value) {
      rows.emplace(key, value);
      return true;
    }));
    return rows;
  }

  SimFileSystem& files() { return env_.sim_files(); }
  ColdStore* store() { return store_.get(); }
  const ColdRows& model() const { return model_; }
  std::mt19937& random() { return random_; }
  void Close() { store_.reset(); }

 private:
  SimEnv env_;
  std::mt19937 random_;
  std::shared_ptr<ColdStoreFactory> factory_ = MakePageFileStoreFactory();
  std::unique_ptr<ColdStore> store_;
  ColdRows model_;
};

TEST(PageFileStoreFaultTest, full_disk_is_said_and_does_no_damage) {
  FaultyStore faulty(1);
  ASSERT_TRUE(faulty.Open().ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(faulty.Write(50, 2000).ok());
  faulty.files().set_capacity_bytes(faulty.files().used_bytes() + 30'000);
  Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = faulty.Write(20, 2000);
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  EXPECT_NE(status.message().find("/scratch/store/"), std::string::npos) << status.message();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(faulty.Write(50, 5000).ok());
  auto rows = faulty.Read(faulty.store());
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, faulty.model());
  faulty.files().set_capacity_bytes(UINT64_MAX);  // somebody made room
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(faulty.Write(50, 5000).ok());
  rows = faulty.Read(faulty.store());
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, faulty.model());
}

TEST(PageFileStoreFaultTest, each_call_that_fails_leaves_the_rows_as_they_were_before_or_after) {
  uint64_t failures = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    FaultyStore faulty(seed);
    while (!faulty.Open().ok()) {
    }
    std::unique_ptr<ColdView> view;
    ColdRows at_view;
    for (int step = 0; step < 150; ++step) {
      FaultPlan plan = FaultPlan::Uniform(0.01);
      plan[FsCall::kRead].bit_flip = 0.002;
      faulty.files().set_faults(plan);
      const bool large = step % 15 == 0;
      if (!faulty.Write(large ? 400 : 20, large ? 40'000 : 3000).ok()) ++failures;
      const auto rows = faulty.Read(faulty.store());
      if (rows.ok()) {
        ASSERT_EQ(*rows, faulty.model());
      } else {
        ++failures;
        EXPECT_TRUE(rows.status().code() == StatusCode::kIoError ||
                    rows.status().code() == StatusCode::kCorruption)
            << rows.status().ToString();
      }
      faulty.files().set_faults({});
      if (step % 50 == 10) {
        view = faulty.store()->MakeView();
        at_view = faulty.model();
      }
      if (step % 50 == 49) {
        const auto seen = faulty.Read(view.get());
        ASSERT_TRUE(seen.ok());
        ASSERT_EQ(*seen, at_view);
        view.reset();
      }
    }
    const auto rows = faulty.Read(faulty.store());
    ASSERT_TRUE(rows.ok());
    ASSERT_EQ(*rows, faulty.model());
    faulty.Close();
    EXPECT_FALSE(faulty.files().Stat("/scratch/store")->exists);
  }
  EXPECT_GT(failures, 60u);
}

TEST(PageFileStoreFaultTest, directory_of_a_killed_process_is_emptied_by_the_next) {
  SimEnv env(3);
  ASSERT_TRUE(env.files().MakeDirectories("/scratch").ok());
  const auto factory = MakePageFileStoreFactory();
  auto opened = factory->Open(&env, {"/scratch/store", 1 << 20, 6});
  ASSERT_TRUE(opened.ok());
  const ColdWrite write{"key", "value"};
  ASSERT_TRUE((*opened)->Apply(std::span(&write, 1)).ok());
  env.Crash(CrashKind::kProcessKill);
  std::vector<std::optional<std::string>> values;
  EXPECT_FALSE((*opened)->MultiGet(std::span(&write.key, 1), &values).ok());  // a dead handle
  auto again = factory->Open(&env, {"/scratch/store", 1 << 20, 6});
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  const auto rows = FaultyStore::Read(again->get());
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(*rows, ColdRows());
}

}  // namespace
}  // namespace headrace
