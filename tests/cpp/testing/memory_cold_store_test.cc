#include "testing/memory_cold_store.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "state/cold_store_contract.h"
#include "state/cold_store_load_contract.h"

namespace headrace {
namespace {

struct MemoryStores {
  static constexpr bool kOnDisk = false;
  static std::shared_ptr<ColdStoreFactory> MakeFactory() {
    return std::make_shared<MemoryColdStoreFactory>();
  }
};
// CMake names the tests by the first argument.
INSTANTIATE_TYPED_TEST_SUITE_P(ColdStoreContract, ColdStoreContract, MemoryStores);
INSTANTIATE_TYPED_TEST_SUITE_P(ColdStoreLoadContract, ColdStoreLoadContract, MemoryStores);

TEST(MemoryColdStoreTest, injected_failure_is_returned_and_has_no_effect) {
  MemoryColdStoreFactory factory;
  auto store = std::move(factory.Open(nullptr, {"/scratch/1", 0, 6})).value();
  const ColdWrite write{"a", "1"};
  ASSERT_TRUE(store->Apply(std::span(&write, 1)).ok());
  auto view = store->MakeView();
  std::vector<std::string> calls;
  factory.set_fault([&](std::string_view call) {
    calls.emplace_back(call);
    return Status::IoError("disk is broken");
  });
  const ColdWrite second{"b", "2"};
  EXPECT_EQ(store->Apply(std::span(&second, 1)).code(), StatusCode::kIoError);
  std::vector<std::optional<std::string>> values;
  EXPECT_EQ(store->MultiGet(std::span(&second.key, 1), &values).message(), "disk is broken");
  const ColdVisitor none = [](std::string_view, std::string_view) { return true; };
  EXPECT_EQ(store->Scan("", "", none).code(), StatusCode::kIoError);
  EXPECT_EQ(view->Scan("", "", none).code(), StatusCode::kIoError);
  EXPECT_EQ(factory.Open(nullptr, {"/scratch/2", 0, 6}).status().code(), StatusCode::kIoError);
  EXPECT_EQ(calls, (std::vector<std::string>{"apply", "multi_get", "scan", "scan", "open"}));
  factory.set_fault(nullptr);
  EXPECT_EQ(store->Statistics()["rows"], 1);
  EXPECT_EQ(factory.open_stores(), 1u);
}

TEST(MemoryColdStoreTest, versions_are_kept_only_as_long_as_a_view_sees_them) {
  MemoryColdStoreFactory factory;
  auto store = std::move(factory.Open(nullptr, {"/scratch/1", 0, 6})).value();
  const auto put = [&](std::string_view key, std::optional<std::string_view> value) {
    const ColdWrite write{key, value};
    ASSERT_TRUE(store->Apply(std::span(&write, 1)).ok());
  };
  put("a", "1");
  put("a", "22");
  EXPECT_EQ(store->Statistics()["versions"], 1);
  EXPECT_EQ(store->disk_bytes(), 3);
  auto view = store->MakeView();
  put("a", "333");
  put("a", std::nullopt);
  EXPECT_EQ(store->Statistics()["versions"], 2);  // what the view sees, and the removal
  EXPECT_EQ(store->Statistics()["rows"], 0);
  EXPECT_EQ(store->disk_bytes(), 0);
  view.reset();
  EXPECT_EQ(store->Statistics()["versions"], 0);
}

}  // namespace
}  // namespace headrace
