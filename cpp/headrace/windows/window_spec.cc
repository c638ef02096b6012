#include "headrace/windows/window_spec.h"

namespace headrace {

WindowSpec WindowSpec::Tumbling(int64_t size_ms, int64_t offset_ms) {
  return Sliding(size_ms, size_ms, offset_ms);
}

WindowSpec WindowSpec::Sliding(int64_t size_ms, int64_t slide_ms, int64_t offset_ms) {
  WindowSpec spec;
  spec.size_ms = size_ms;
  spec.slide_ms = slide_ms;
  spec.offset_ms = offset_ms;
  return spec;
}

Status WindowSpec::Validate() const {
  const auto wrong = [](const char* what, int64_t value, const std::string& rule) {
    return Status::InvalidArgument("window " + std::string(what) + " must be " + rule + ", got " +
                                   std::to_string(value) + " ms");
  };
  const std::string range = "between 1 and " + std::to_string(kWindowSizeMaxMs) + " ms";
  if (size_ms <= 0 || size_ms > kWindowSizeMaxMs) return wrong("size", size_ms, range);
  if (slide_ms <= 0 || slide_ms > kWindowSizeMaxMs) return wrong("slide", slide_ms, range);
  if (offset_ms <= -slide_ms || offset_ms >= slide_ms) {
    return wrong(
        "offset", offset_ms,
        "smaller than the slide of " + std::to_string(slide_ms) + " ms in either direction");
  }
  if (allowed_lateness_ms < 0) return wrong("allowed lateness", allowed_lateness_ms, ">= 0");
  return Status::Ok();
}

std::string WindowSpec::ToString() const {
  std::string text = slide_ms == size_ms ? "tumbling(" : "sliding(";
  text += std::to_string(size_ms);
  if (slide_ms != size_ms) text += ", " + std::to_string(slide_ms);
  if (offset_ms != 0) text += ", offset " + std::to_string(offset_ms);
  return text + ")";
}

TimestampMs WindowSpec::CleanupTime(TimestampMs window_end) const {
  TimestampMs cleanup = 0;
  if (__builtin_add_overflow(window_end - 1, allowed_lateness_ms, &cleanup)) return kMaxWatermark;
  return cleanup;
}

}  // namespace headrace
