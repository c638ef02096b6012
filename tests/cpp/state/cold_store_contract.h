#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "headrace/state/cold_store.h"
#include "state/cold_store_fixture.h"

namespace headrace {

/// What each ColdStore must do, whatever keeps its rows.
template <typename Stores>
class ColdStoreContract : public ColdStoreFixture<Stores> {};

TYPED_TEST_SUITE_P(ColdStoreContract);

TYPED_TEST_P(ColdStoreContract, new_store_is_empty) {
  auto store = this->Open();
  EXPECT_EQ(this->Get(store.get(), "a"), std::nullopt);
  EXPECT_EQ(this->Scan(store.get()), ColdRows());
  EXPECT_EQ(this->Scan(store->MakeView().get()), ColdRows());
  EXPECT_TRUE(store->Apply({}).ok());
  std::vector<std::optional<std::string>> values(3, "stale");
  EXPECT_TRUE(store->MultiGet({}, &values).ok());
  EXPECT_TRUE(values.empty());
}

TYPED_TEST_P(ColdStoreContract, written_rows_are_read_back) {
  auto store = this->Open();
  using std::literals::string_literals::operator""s;
  const ColdRows rows = {{"", "value of the empty key"},
                         {"a", ""},
                         {"a\0"s, "zero"},
                         {"a\0b"s, "inside"},
                         {"b", "2"},
                         {"\xff\xff", "last"},
                         {std::string(300, 'k'), "long"},
                         {"\x80", "\0\0"s}};
  this->Put(store.get(), rows);
  for (const auto& [key, value] : rows) EXPECT_EQ(this->Get(store.get(), key), value);
  EXPECT_EQ(this->Get(store.get(), "aa"), std::nullopt);
  EXPECT_EQ(this->Scan(store.get()), rows);
}

TYPED_TEST_P(ColdStoreContract, later_write_of_a_key_wins_also_within_one_call) {
  auto store = this->Open();
  this->Put(store.get(), {{"a", "1"}, {"b", "1"}, {"c", "1"}});
  const std::vector<ColdWrite> writes = {{"b", std::nullopt},    {"d", "2"},          {"a", "2"},
                                         {"d", std::nullopt},    {"c", std::nullopt}, {"c", "3"},
                                         {"never", std::nullopt}};
  ASSERT_TRUE(store->Apply(writes).ok());
  EXPECT_EQ(this->Scan(store.get()), (ColdRows{{"a", "2"}, {"c", "3"}}));
  EXPECT_EQ(this->Get(store.get(), "b"), std::nullopt);
  EXPECT_EQ(this->Get(store.get(), "d"), std::nullopt);
}

TYPED_TEST_P(ColdStoreContract, many_keys_are_read_in_one_call_in_any_order) {
  auto store = this->Open();
  ColdRows rows;
  for (uint64_t i = 0; i < 5000; i += 2) rows[this->KeyOf(i)] = std::to_string(i);
  this->Put(store.get(), rows);
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < 5000; ++i) keys.push_back(this->KeyOf(i * 7919 % 5000));
  keys.push_back(keys[17]);  // twice
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<std::optional<std::string>> values;
  ASSERT_TRUE(store->MultiGet(views, &values).ok());
  ASSERT_EQ(values.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto row = rows.find(keys[i]);
    EXPECT_EQ(values[i], row == rows.end() ? std::nullopt : std::optional(row->second)) << i;
  }
}

TYPED_TEST_P(ColdStoreContract, scan_keeps_to_its_bounds_and_ends_when_told) {
  auto store = this->Open();
  ColdRows rows;
  for (uint64_t i = 0; i < 2000; ++i) rows[this->KeyOf(i * 10)] = std::to_string(i);
  this->Put(store.get(), rows);
  auto view = store->MakeView();
  const std::vector<std::pair<uint64_t, uint64_t>> bounds = {
      {0, 20'000}, {0, 1}, {5, 15}, {10, 20}, {10, 10}, {20, 10}, {19'990, 30'000}, {255, 70'000}};
  for (const auto& [from, to] : bounds) {
    const std::string begin = this->KeyOf(from);
    const std::string end = this->KeyOf(to);
    const ColdRows expected = this->Part(rows, begin, end);
    EXPECT_EQ(this->Scan(store.get(), begin, end), expected) << from << " " << to;
    EXPECT_EQ(this->Scan(view.get(), begin, end), expected) << from << " " << to;
    EXPECT_EQ(this->Scan(view.get(), begin), this->Part(rows, begin, ""));
  }
  int seen = 0;
  const ColdVisitor first_three = [&](std::string_view, std::string_view) { return ++seen < 3; };
  ASSERT_TRUE(store->Scan("", "", first_three).ok());
  EXPECT_EQ(seen, 3);
  seen = 0;
  ASSERT_TRUE(view->Scan("", "", first_three).ok());
  EXPECT_EQ(seen, 3);
}

TYPED_TEST_P(ColdStoreContract, view_keeps_what_later_writes_change) {
  auto store = this->Open();
  auto before = store->MakeView();
  this->Put(store.get(), {{"a", "1"}, {"b", "1"}, {"c", "1"}});
  auto first = store->MakeView();
  auto first_again = store->MakeView();
  const std::vector<ColdWrite> writes = {{"a", "2"}, {"b", std::nullopt}, {"d", "2"}};
  ASSERT_TRUE(store->Apply(writes).ok());
  auto second = store->MakeView();
  this->Put(store.get(), {{"a", "3"}, {"b", "3"}, {"c", "3"}, {"d", "3"}});
  const ColdRows at_first = {{"a", "1"}, {"b", "1"}, {"c", "1"}};
  EXPECT_EQ(this->Scan(before.get()), ColdRows());
  EXPECT_EQ(this->Scan(first.get()), at_first);
  first.reset();
  EXPECT_EQ(this->Scan(first_again.get()), at_first);
  EXPECT_EQ(this->Scan(second.get()), (ColdRows{{"a", "2"}, {"c", "1"}, {"d", "2"}}));
  EXPECT_EQ(this->Scan(store.get()), (ColdRows{{"a", "3"}, {"b", "3"}, {"c", "3"}, {"d", "3"}}));
}

TYPED_TEST_P(ColdStoreContract, visitor_may_call_the_store) {
  auto store = this->Open();
  ColdRows rows;
  for (uint64_t i = 0; i < 1000; ++i) rows[this->KeyOf(i)] = "old";
  this->Put(store.get(), rows);
  auto view = store->MakeView();
  uint64_t seen = 0;
  const Status status = view->Scan("", "", [&](std::string_view key, std::string_view value) {
    EXPECT_EQ(value, "old");
    EXPECT_TRUE(this->Get(store.get(), key).has_value());
    const std::string ahead = this->KeyOf(seen + 1);
    const ColdWrite write{ahead, "new"};
    EXPECT_TRUE(store->Apply(std::span(&write, 1)).ok());
    ++seen;
    return true;
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(seen, 1000u);
}

TYPED_TEST_P(ColdStoreContract, stores_of_one_factory_do_not_see_each_other) {
  auto one = this->Open("store-1");
  auto eleven = this->Open("store-11");
  this->Put(one.get(), {{"a", "1"}});
  this->Put(eleven.get(), {{"a", "11"}, {"b", "11"}});
  one.reset();
  EXPECT_EQ(this->Scan(eleven.get()), (ColdRows{{"a", "11"}, {"b", "11"}}));
  one = this->Open("store-1");
  EXPECT_EQ(this->Scan(one.get()), ColdRows());
}

TYPED_TEST_P(ColdStoreContract, directory_in_use_is_refused_and_left_whole) {
  auto store = this->Open();
  this->Put(store.get(), {{"a", "1"}});
  ColdStoreOptions options;
  options.directory = this->scratch_.path() + "/store";
  options.memory_bytes = 8 << 20;
  for (int i = 0; i < 2; ++i) {
    auto second = this->factory_->Open(&RealEnv(), options);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_NE(second.status().message().find(options.directory), std::string::npos);
  }
  EXPECT_EQ(this->Scan(store.get()), (ColdRows{{"a", "1"}}));
}

TYPED_TEST_P(ColdStoreContract, directory_is_made_empty_and_deleted_with_the_store) {
  const std::filesystem::path folder = this->scratch_.path() + "/a/b/store";
  std::filesystem::create_directories(folder / "inner");
  std::ofstream(folder / "000004.log") << "what a crash left";
  std::ofstream(folder / "inner/CURRENT") << "MANIFEST-000001";
  auto store = this->Open("a/b/store");
  if (TypeParam::kOnDisk) {
    EXPECT_FALSE(std::filesystem::exists(folder / "inner"));
    EXPECT_TRUE(std::filesystem::exists(folder));
  }
  EXPECT_EQ(this->Scan(store.get()), ColdRows());
  ColdRows rows;
  for (uint64_t i = 0; i < 500; ++i) rows[this->KeyOf(i)] = std::string(20'000, 'v');
  this->Put(store.get(), rows);
  store.reset();
  if (TypeParam::kOnDisk) {
    EXPECT_FALSE(std::filesystem::exists(folder));
    EXPECT_TRUE(std::filesystem::exists(folder.parent_path()));
  }
}

REGISTER_TYPED_TEST_SUITE_P(ColdStoreContract, new_store_is_empty, written_rows_are_read_back,
                            later_write_of_a_key_wins_also_within_one_call,
                            many_keys_are_read_in_one_call_in_any_order,
                            scan_keeps_to_its_bounds_and_ends_when_told,
                            view_keeps_what_later_writes_change, visitor_may_call_the_store,
                            stores_of_one_factory_do_not_see_each_other,
                            directory_in_use_is_refused_and_left_whole,
                            directory_is_made_empty_and_deleted_with_the_store);

}  // namespace headrace
