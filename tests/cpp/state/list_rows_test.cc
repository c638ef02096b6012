#include "headrace/state/list_rows.h"

#include <gtest/gtest.h>

#include <string>

#include "headrace/state/keyed_state.h"

namespace headrace {
namespace {

// Lists of many elements are few rows, however few elements each append has.
TEST(ListRowsTest, appends_fill_segments_of_a_kibibyte) {
  KeyedState state({0, 127}, 128, int64_t{1} << 30);
  RowState* rows = *state.RegisterRows("list", "list<str>");
  const KeyId key = state.keys().LookupOrInsertInt(1);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string element = "element " + std::to_string(1000 + i);  // 12 bytes
    ListAppender appender(rows, key, {});
    appender.Append(element);
    appender.Finish();
    expected += element;
    ASSERT_EQ(rows->Count(key, {}), (expected.size() + 1031) / 1032) << i;
  }
  EXPECT_EQ(ReadList(*rows, key, {}), expected);
  rows->Walk(key, {}, nullptr, [](std::string_view, std::string_view segment) {
    EXPECT_LE(segment.size(), 1032u);  // closed by the element with which it reaches 1,024 bytes
    return true;
  });
}

}  // namespace
}  // namespace headrace
