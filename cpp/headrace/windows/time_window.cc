#include "headrace/windows/time_window.h"

namespace headrace {
namespace {

constexpr uint64_t kBias = uint64_t{1} << 63;
constexpr size_t kEncodedBytes = 16;

void AppendBigEndian(TimestampMs time, std::string* out) {
  const uint64_t biased = static_cast<uint64_t>(time) + kBias;
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(biased >> shift));
}

TimestampMs ReadBigEndian(std::string_view bytes) {
  uint64_t biased = 0;
  for (const char byte : bytes) biased = biased << 8 | static_cast<uint8_t>(byte);
  return static_cast<TimestampMs>(biased - kBias);
}

}  // namespace

// The namespace of a window, so that windows in order of their bytes are in order of time:
//
//   8 bytes  start in ms, big-endian, the sign bit flipped
//   8 bytes  end, the same
std::string EncodeWindow(const TimeWindow& window) {
  std::string ns;
  ns.reserve(kEncodedBytes);
  AppendBigEndian(window.start, &ns);
  AppendBigEndian(window.end, &ns);
  return ns;
}

Result<TimeWindow> DecodeWindow(std::string_view ns) {
  if (ns.size() != kEncodedBytes) {
    return Status::Corruption("a window namespace has 16 bytes, not " + std::to_string(ns.size()));
  }
  return TimeWindow{ReadBigEndian(ns.substr(0, 8)), ReadBigEndian(ns.substr(8))};
}

}  // namespace headrace
