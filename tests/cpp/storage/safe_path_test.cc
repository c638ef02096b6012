#include "headrace/storage/safe_path.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(SafePathTest, PlainNamesPass) {
  for (const char* name : {"a", "chk-1/data-0.hr", "a/b/c/d", "0_x.y-z"}) {
    EXPECT_TRUE(ValidateRelativeName(name).ok()) << name;
  }
  EXPECT_TRUE(ValidateRelativeName(std::string(80, 'a')).ok());
}

TEST(SafePathTest, EverythingElseIsRefused) {
  for (const std::string& name : {std::string(),
                                  std::string("/a"),
                                  std::string("a/"),
                                  std::string("a//b"),
                                  std::string(".."),
                                  std::string("../a"),
                                  std::string("a/../b"),
                                  std::string("."),
                                  std::string(".hidden"),
                                  std::string("a/.b"),
                                  std::string("A"),
                                  std::string("a b"),
                                  std::string("a\\b"),
                                  std::string("a\0b", 3),
                                  std::string("a\n"),
                                  std::string("\xc3\xa4"),
                                  std::string("c:a"),
                                  std::string("~a"),
                                  std::string("a/b/c/d/e"),
                                  std::string(81, 'a')}) {
    EXPECT_EQ(ValidateRelativeName(name).code(), StatusCode::kInvalidArgument) << name;
    EXPECT_FALSE(JoinSafely("/base", name).ok());
  }
}

TEST(SafePathTest, MessageQuotesTheNameSafely) {
  EXPECT_EQ(ValidateRelativeName("../\x1b[2J").message(),
            "unsafe file name '../?[2J': segment starts with a dot");
  EXPECT_LT(ValidateRelativeName(std::string(100'000, 'a')).message().size(), 250u);
}

TEST(SafePathTest, JoinHasOneSlash) {
  EXPECT_EQ(*JoinSafely("/base", "a/b"), "/base/a/b");
  EXPECT_EQ(*JoinSafely("/base/", "a"), "/base/a");
}

// Frozen: names of job directories on disk.
TEST(SafePathTest, SanitizedNamesAreFrozen) {
  EXPECT_EQ(SanitizeName("Word Count"), "word-count-5f2d5398");
  EXPECT_EQ(SanitizeName("wörter"), "w-rter-d0466e34");
  EXPECT_EQ(SanitizeName(""), "job-38d394c2");
  EXPECT_EQ(SanitizeName("../../etc/passwd"), "etc-passwd-2d201361");
  EXPECT_EQ(SanitizeName("a.b_c-d"), "a.b_c-d-70ecc8d5");
}

TEST(SafePathTest, SanitizedNamesAreSafeAndApart) {
  const std::string names[] = {"",
                               "job",
                               "Job",
                               "JOB",
                               "j/ob",
                               "j ob",
                               "..",
                               ".",
                               "../../etc",
                               std::string(500, 'x'),
                               std::string(501, 'x'),
                               "z\xc3\xa4hler",
                               std::string("\0", 1)};
  for (const std::string& name : names) {
    const std::string safe = SanitizeName(name);
    EXPECT_TRUE(ValidateRelativeName(safe).ok()) << safe;
    EXPECT_EQ(safe.find('/'), std::string::npos);
    for (const std::string& other : names) {
      if (other == name) continue;
      EXPECT_NE(SanitizeName(other), safe);
    }
  }
}

}  // namespace
}  // namespace headrace
