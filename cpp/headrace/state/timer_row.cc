#include "headrace/state/timer_row.h"

#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr uint64_t kSignBit = uint64_t{1} << 63;
constexpr size_t kSubKeyBytes = 9;

}  // namespace

std::string TimerSubKey(uint8_t domain, int64_t time) {
  std::string key(1, static_cast<char>(domain));
  const uint64_t ordered = static_cast<uint64_t>(time) ^ kSignBit;
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(ordered >> shift));
  return key;
}

Status ParseTimerSubKey(std::string_view key, std::string_view sub_key, uint8_t* domain,
                        int64_t* time) {
  if (sub_key.size() != kSubKeyBytes || static_cast<uint8_t>(sub_key[0]) > 1) {
    return Status::Corruption("a timer of key " + DescribeValue(key) + " has no time");
  }
  *domain = static_cast<uint8_t>(sub_key[0]);
  uint64_t ordered = 0;
  for (const char byte : sub_key.substr(1)) ordered = (ordered << 8) | static_cast<uint8_t>(byte);
  *time = static_cast<int64_t>(ordered ^ kSignBit);
  return Status::Ok();
}

}  // namespace headrace
