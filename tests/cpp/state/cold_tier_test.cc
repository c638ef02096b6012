#include "headrace/state/cold_tier.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "testing/memory_cold_store.h"

namespace headrace {
namespace {

class ColdTierTest : public ::testing::Test {
 protected:
  MemoryColdStoreFactory factory_;
  KeyDictionary keys_{128};
  ColdTier tier_{factory_.Open(nullptr, ColdStoreOptions()).value(), &keys_, {0, 127}, 128};
};

TEST_F(ColdTierTest, a_row_that_was_removed_and_written_again_is_there) {
  for (const char* key : {"a", "b", "c"}) tier_.StageWrite(key, "old");
  tier_.Flush();
  // Whatever else is written and removed on either side of it.
  for (const char* key : {"a", "b", "d"}) tier_.StageRemoval(key);
  EXPECT_TRUE(tier_.removal_staged("b"));
  EXPECT_FALSE(tier_.removal_staged("c"));
  for (const char* key : {"c", "b"}) tier_.StageWrite(key, "new");
  EXPECT_GT(tier_.staged_bytes(), 0);
  tier_.Flush();
  EXPECT_EQ(tier_.staged_bytes(), 0);
  EXPECT_EQ(tier_.Get("a"), std::nullopt);
  EXPECT_EQ(tier_.Get("b"), "new");
  EXPECT_EQ(tier_.Get("c"), "new");
  EXPECT_EQ(tier_.Get("d"), std::nullopt);
  EXPECT_TRUE(tier_.status().ok());
}

}  // namespace
}  // namespace headrace
