#include "golden_file.h"
#include "headrace/windows/time_window.h"
#include "headrace/windows/window_progress.h"

namespace headrace {
namespace {

TEST(WindowFormats, ProgressIsTheGoldenFile) {
  WindowProgress progress;
  progress.AddRows(300);
  progress.Advance(1'357'034'400'000);
  OperatorState state;
  progress.Snapshot({5, 127}, &state);
  ASSERT_EQ(state.Items("window-watermark").size(), 1u);
  ExpectGolden("windows/golden/window_progress.bin", state.Items("window-watermark")[0]);

  OperatorState stored;
  stored.Set("window-watermark", Redistribution::kUnion,
             {ReadGolden("windows/golden/window_progress.bin")});
  WindowProgress read;
  ASSERT_TRUE(read.Restore(stored, {5, 127}).ok());
  EXPECT_EQ(read.watermark(), 1'357'034'400'000);
  EXPECT_EQ(read.rows_seen(), 300);
}

TEST(WindowFormats, NamespacesAreTheGoldenFileInOrderOfTime) {
  const TimeWindow windows[] = {{-7'200'000, -3'600'000}, {-1, 1}, {0, 10}, {0, 20}, {1, 5}};
  std::string bytes;
  std::string former;
  for (const TimeWindow& window : windows) {
    const std::string ns = EncodeWindow(window);
    EXPECT_LT(former, ns);
    former = ns;
    bytes += ns;
  }
  ExpectGolden("windows/golden/window_namespaces.bin", bytes);
  const std::string golden = ReadGolden("windows/golden/window_namespaces.bin");
  for (size_t i = 0; i < std::size(windows); ++i) {
    const Result<TimeWindow> window = DecodeWindow(std::string_view(golden).substr(16 * i, 16));
    ASSERT_TRUE(window.ok());
    EXPECT_EQ(window->start, windows[i].start);
    EXPECT_EQ(window->end, windows[i].end);
  }
}

}  // namespace
}  // namespace headrace
