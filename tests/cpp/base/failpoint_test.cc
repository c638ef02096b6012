#include "headrace/base/failpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "testing/failpoint_actions.h"

namespace headrace {
namespace {

TEST(FailpointTest, PassesWhenNothingIsInstalled) { EXPECT_TRUE(Failpoint("fs.sync", "/a").ok()); }

TEST(FailpointTest, CountsWatchedHitsOnly) {
  ScopedFailpoints points;
  points.Watch("fs.", "/data");
  EXPECT_TRUE(Failpoint("fs.sync", "/data/1").ok());
  EXPECT_TRUE(Failpoint("fs.sync", "/other").ok());
  EXPECT_TRUE(Failpoint("kafka.send", "/data/1").ok());
  EXPECT_EQ(points.hits(), 1u);
}

TEST(FailpointTest, FailsTheKthHitOnce) {
  ScopedFailpoints points;
  points.FailAt(2, Status::IoError("disk"));
  EXPECT_TRUE(Failpoint("a").ok());
  EXPECT_EQ(Failpoint("b").message(), "disk");
  EXPECT_TRUE(Failpoint("c").ok());
}

TEST(FailpointTest, FailsFromTheKthHitOn) {
  ScopedFailpoints points;
  points.FailFrom(2, Status::IoError("disk"));
  EXPECT_TRUE(Failpoint("a").ok());
  EXPECT_FALSE(Failpoint("b").ok());
  EXPECT_FALSE(Failpoint("c").ok());
}

TEST(FailpointTest, IsRemovedAtTheEndOfTheScope) {
  {
    ScopedFailpoints points;
    points.FailFrom(1, Status::IoError("disk"));
  }
  EXPECT_TRUE(Failpoint("a").ok());
}

TEST(FailpointTest, KillsTheProcessAtTheKthHit) {
  const pid_t child = ::fork();
  if (child == 0) {
    ScopedFailpoints points;
    points.KillAt(2);
    if (!Failpoint("a").ok()) ::_exit(1);
    static_cast<void>(Failpoint("b"));
    ::_exit(2);
  }
  int state = 0;
  ASSERT_EQ(::waitpid(child, &state, 0), child);
  ASSERT_TRUE(WIFSIGNALED(state));
  EXPECT_EQ(WTERMSIG(state), SIGKILL);
}

}  // namespace
}  // namespace headrace
