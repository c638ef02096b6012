#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "headrace/state/cold_store.h"
#include "state/cold_store_fixture.h"

namespace headrace {

/// What each ColdStore must do under many rows, long values and several threads.
template <typename Stores>
class ColdStoreLoadContract : public ColdStoreFixture<Stores> {};

TYPED_TEST_SUITE_P(ColdStoreLoadContract);

// Everything at once against a std::map, with views that are compared long after they were made.
TYPED_TEST_P(ColdStoreLoadContract, random_writes_reads_and_views_agree_with_a_map) {
  for (uint32_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    auto store = this->Open("store", 1 << 20);
    ColdRows model;
    std::vector<std::pair<std::unique_ptr<ColdView>, ColdRows>> views;
    const auto any_key = [&] { return this->KeyOf(random() % (seed == 1 ? 300 : 20'000)); };
    for (int step = 0; step < 400; ++step) {
      std::vector<std::pair<std::string, std::optional<std::string>>> changes;
      const size_t count = random() % 200;
      for (size_t i = 0; i < count; ++i) {
        std::optional<std::string> value;
        if (random() % 4 != 0) {
          value = std::string(random() % 20 == 0 ? random() % 20'000 : random() % 60,
                              static_cast<char>(random()));
        }
        changes.emplace_back(any_key(), std::move(value));
      }
      if (random() % 2 == 0) {
        std::stable_sort(changes.begin(), changes.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
      }
      std::vector<ColdWrite> writes;
      for (const auto& [key, value] : changes) {
        writes.push_back({key, value});
        if (value) {
          model[key] = *value;
        } else {
          model.erase(key);
        }
      }
      ASSERT_TRUE(store->Apply(writes).ok());
      for (int i = 0; i < 20; ++i) {
        const std::string key = any_key();
        const auto row = model.find(key);
        ASSERT_EQ(this->Get(store.get(), key),
                  row == model.end() ? std::nullopt : std::optional(row->second));
      }
      if (random() % 10 == 0) {
        const std::string begin = any_key();
        const std::string end = random() % 4 == 0 ? "" : any_key();
        ASSERT_EQ(this->Scan(store.get(), begin, end), this->Part(model, begin, end));
      }
      if (random() % 25 == 0) views.emplace_back(store->MakeView(), model);
      if (random() % 40 == 0 && !views.empty()) {
        const size_t i = random() % views.size();
        ASSERT_EQ(this->Scan(views[i].first.get()), views[i].second);
        views.erase(views.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    for (const auto& [view, rows] : views) ASSERT_EQ(this->Scan(view.get()), rows);
    ASSERT_EQ(this->Scan(store.get()), model);
  }
}

TYPED_TEST_P(ColdStoreLoadContract, values_of_a_mebibyte_are_kept_whole) {
  auto store = this->Open("store", 2 << 20);
  ColdRows rows;
  for (uint64_t i = 0; i < 12; ++i) {
    std::string value((1 << 20) + i, '\0');
    std::mt19937 random(static_cast<uint32_t>(i));
    for (char& byte : value) byte = static_cast<char>(random());
    rows[this->KeyOf(i)] = std::move(value);
    this->Put(store.get(), {{this->KeyOf(i), rows[this->KeyOf(i)]}});
  }
  auto view = store->MakeView();
  const ColdRows old = rows;
  for (uint64_t i = 0; i < 12; i += 3) rows[this->KeyOf(i)] = std::string(1 << 20, 'n');
  this->Put(store.get(), rows);
  for (const auto& [key, value] : rows) ASSERT_TRUE(this->Get(store.get(), key) == value);
  EXPECT_TRUE(this->Scan(view.get()) == old);
  EXPECT_TRUE(this->Scan(store.get()) == rows);
}

TYPED_TEST_P(ColdStoreLoadContract, two_hundred_thousand_rows_change_again_and_again) {
  constexpr uint64_t kRows = 200'000;
  auto store = this->Open("store", 24 << 20);
  std::vector<uint64_t> counts(kRows, 0);
  std::mt19937 random(7);
  for (int round = 0; round < 150; ++round) {
    std::set<uint64_t> touched;
    if (round < 50) {  // first each of them once
      for (uint64_t i = 0; i < 4000; ++i) touched.insert(round * 4000 + i);
    } else {
      while (touched.size() < 4000) touched.insert(random() % kRows);
    }
    std::vector<std::string> keys;
    for (const uint64_t i : touched) keys.push_back(this->KeyOf(i));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<std::optional<std::string>> values;
    ASSERT_TRUE(store->MultiGet(views, &values).ok());
    std::vector<std::string> next;
    size_t at = 0;
    for (const uint64_t i : touched) {
      ASSERT_EQ(values[at++].value_or("0"), std::to_string(counts[i]));
      next.push_back(std::to_string(++counts[i]));
    }
    std::vector<ColdWrite> writes;
    for (size_t i = 0; i < keys.size(); ++i) writes.push_back({keys[i], next[i]});
    ASSERT_TRUE(store->Apply(writes).ok());
  }
  uint64_t row = 0;
  const Status status = store->Scan("", "", [&](std::string_view key, std::string_view value) {
    EXPECT_EQ(key, this->KeyOf(row));
    EXPECT_EQ(value, std::to_string(counts[row]));
    ++row;
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(row, kRows);
  EXPECT_GT(store->disk_bytes(), 0);
}

// Each Apply gives all keys the same value; readers must never see two values at once, in a view
// or in one MultiGet.
TYPED_TEST_P(ColdStoreLoadContract, readers_see_all_of_an_apply_or_nothing) {
  constexpr uint64_t kKeys = 64;
  constexpr int kRounds = 300;
  auto store = this->Open("store", 1 << 20);
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < kKeys; ++i) keys.push_back(this->KeyOf(i));
  const std::vector<std::string_view> key_views(keys.begin(), keys.end());
  const auto apply = [&](int round) {
    const std::string value = std::to_string(round) + std::string(2000, '.');
    std::vector<ColdWrite> writes;
    for (const std::string& key : keys) writes.push_back({key, value});
    return store->Apply(writes);
  };
  ASSERT_TRUE(apply(0).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> mixed{0};
  std::atomic<int> failed{0};
  std::atomic<int> walks{0};
  const auto read = [&] {
    int last = 0;
    do {
      std::vector<std::optional<std::string>> values;
      if (!store->MultiGet(key_views, &values).ok()) ++failed;
      for (const auto& value : values) {
        if (!value || *value != *values[0]) ++mixed;
      }
      std::set<std::string> seen;
      uint64_t rows = 0;
      auto view = store->MakeView();
      const Status status = view->Scan("", "", [&](std::string_view, std::string_view value) {
        seen.insert(std::string(value));
        ++rows;
        return true;
      });
      if (!status.ok()) ++failed;
      if (seen.size() != 1 || rows != kKeys) ++mixed;
      const int now = std::atoi(seen.begin()->c_str());
      if (now < last) ++mixed;
      last = now;
      ++walks;
      rows = 0;
      if (!store->Scan("", "", [&](auto, auto) { return ++rows > 0; }).ok()) ++failed;
      if (rows != kKeys) ++mixed;
    } while (!stop);
  };
  std::thread reader(read);
  std::thread second_reader(read);
  for (int round = 1; round <= kRounds; ++round) ASSERT_TRUE(apply(round).ok());
  stop = true;
  reader.join();
  second_reader.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_EQ(failed, 0);
  EXPECT_GT(walks, 0);
}

TYPED_TEST_P(ColdStoreLoadContract, views_are_made_and_dropped_by_other_threads) {
  auto store = this->Open("store", 1 << 20);
  this->Put(store.get(), {{"n", "0"}});
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      do {
        std::vector<std::unique_ptr<ColdView>> views;
        for (int k = 0; k < 8; ++k) views.push_back(store->MakeView());
        long last = 0;
        for (auto& view : views) {
          const ColdRows rows = this->Scan(view.get());
          const long now = rows.size() == 1 ? std::atol(rows.begin()->second.c_str()) : -1;
          if (now < last) ++wrong;
          last = now;
        }
      } while (!stop);
    });
  }
  for (int i = 1; i <= 2000; ++i) this->Put(store.get(), {{"n", std::to_string(i)}});
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(this->Scan(store.get()), (ColdRows{{"n", "2000"}}));
}

REGISTER_TYPED_TEST_SUITE_P(ColdStoreLoadContract, random_writes_reads_and_views_agree_with_a_map,
                            values_of_a_mebibyte_are_kept_whole,
                            two_hundred_thousand_rows_change_again_and_again,
                            readers_see_all_of_an_apply_or_nothing,
                            views_are_made_and_dropped_by_other_threads);

}  // namespace headrace
