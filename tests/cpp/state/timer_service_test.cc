#include "headrace/state/timer_service.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace headrace {
namespace {

constexpr TimeDomain kEvent = TimeDomain::kEventTime;
constexpr TimeDomain kProcessing = TimeDomain::kProcessingTime;

class TimerServiceTest : public ::testing::Test {
 protected:
  std::string Pop(TimestampMs until, TimeDomain domain = kEvent) {
    Timer timer;
    if (!timers_.PopDue(domain, until, &timer)) return "-";
    return std::to_string(timer.time) + " " + std::string(keys_.BytesOf(timer.key)) + " " +
           timer.ns;
  }
  KeyDictionary keys_{128};
  TimerService timers_{&keys_};
  // Ids run against the order of the keys' bytes.
  KeyId b_ = keys_.LookupOrInsertString("b");
  KeyId a_ = keys_.LookupOrInsertString("a");
};

TEST_F(TimerServiceTest, equal_times_fire_by_key_bytes_then_namespace) {
  const std::string long_ns(40, 'z');
  timers_.Register(kEvent, b_, "", 5);
  timers_.Register(kEvent, a_, long_ns, 5);
  timers_.Register(kEvent, a_, "n2", 5);
  timers_.Register(kEvent, a_, "n1", 5);
  timers_.Register(kEvent, b_, "", 4);
  timers_.Register(kEvent, b_, "", -4);
  EXPECT_EQ(timers_.NextTime(kEvent), -4);
  EXPECT_EQ(Pop(5), "-4 b ");
  EXPECT_EQ(Pop(5), "4 b ");
  EXPECT_EQ(Pop(5), "5 a n1");
  EXPECT_EQ(Pop(5), "5 a n2");
  EXPECT_EQ(Pop(5), "5 a " + long_ns);
  EXPECT_EQ(Pop(5), "5 b ");
  EXPECT_EQ(Pop(5), "-");
}

TEST_F(TimerServiceTest, registering_twice_is_once_and_domains_are_apart) {
  timers_.Register(kEvent, a_, "", 5);
  timers_.Register(kEvent, a_, "", 5);
  timers_.Register(kProcessing, a_, "", 5);
  EXPECT_EQ(timers_.count(kEvent), 1);
  EXPECT_EQ(timers_.count(kProcessing), 1);
  EXPECT_EQ(Pop(10), "5 a ");
  EXPECT_EQ(Pop(10), "-");
  EXPECT_EQ(Pop(10, kProcessing), "5 a ");
}

TEST_F(TimerServiceTest, timers_after_until_stay) {
  timers_.Register(kEvent, a_, "", 5);
  EXPECT_EQ(Pop(4), "-");
  EXPECT_EQ(timers_.NextTime(kEvent), 5);
  timers_.Delete(kEvent, a_, "", 4);
  EXPECT_EQ(timers_.count(kEvent), 1);
  timers_.Delete(kEvent, a_, "", 5);
  EXPECT_EQ(timers_.NextTime(kEvent), kMaxWatermark);
}

TEST_F(TimerServiceTest, a_key_is_in_use_while_it_has_timers) {
  keys_.TrackIdleKeys();
  timers_.Register(kEvent, a_, "", 5);
  timers_.Register(kEvent, a_, "", 6);
  Pop(5);
  keys_.ReleaseIdle(10);
  EXPECT_TRUE(keys_.live(a_));
  Pop(6);
  keys_.ReleaseIdle(10);
  EXPECT_FALSE(keys_.live(a_));
}

TEST_F(TimerServiceTest, deleting_and_registering_does_not_pile_up_memory) {
  for (int i = 0; i < 1000; ++i) timers_.Register(kEvent, a_, "", i);
  const int64_t before = timers_.memory_bytes();
  for (int i = 0; i < 100'000; ++i) {
    timers_.Delete(kEvent, a_, "", i);
    timers_.Register(kEvent, a_, "", i + 1000);
  }
  EXPECT_EQ(timers_.count(kEvent), 1000);
  EXPECT_LT(timers_.memory_bytes(), before * 2);
}

TEST_F(TimerServiceTest, memory_counts_the_order_of_timers_as_well_as_their_rows) {
  timers_.Register(kEvent, a_, "", 1);
  const int64_t bytes = timers_.memory_bytes();
  EXPECT_GE(bytes, 64 * 1024);  // the first chunk of a heap
  for (int i = 2; i < 1000; ++i) timers_.Register(kEvent, a_, "", i);
  EXPECT_LT(timers_.memory_bytes(), 3 * bytes);  // which is charged once
}

TEST_F(TimerServiceTest, equals_a_sorted_set_under_random_operations) {
  std::mt19937 random(11);
  std::vector<KeyId> keys;
  for (int i = 0; i < 300; ++i) {
    keys.push_back(keys_.LookupOrInsertString("same-prefix-" + std::to_string(random() % 500)));
  }
  using Entry = std::tuple<TimestampMs, std::string, std::string>;
  std::set<Entry> model;
  TimestampMs now = 0;
  for (int step = 0; step < 60'000; ++step) {
    const KeyId key = keys[random() % keys.size()];
    const std::string ns = random() % 3 ? "" : std::string(random() % 25, 'n');
    const TimestampMs time = now + random() % 50;
    if (random() % 3 == 0) {
      timers_.Delete(kEvent, key, ns, time);
      model.erase({time, keys_.EncodedKey(key), ns});
    } else {
      timers_.Register(kEvent, key, ns, time);
      model.insert({time, keys_.EncodedKey(key), ns});
    }
    if (step % 500 == 0) {
      now += 20;
      Timer timer;
      while (timers_.PopDue(kEvent, now, &timer)) {
        const Entry popped{timer.time, keys_.EncodedKey(timer.key), timer.ns};
        ASSERT_FALSE(model.empty());
        ASSERT_EQ(popped, *model.begin());
        model.erase(model.begin());
      }
      ASSERT_TRUE(model.empty() || std::get<0>(*model.begin()) > now);
    }
    ASSERT_EQ(timers_.count(kEvent), static_cast<int64_t>(model.size()));
  }
}

}  // namespace
}  // namespace headrace
