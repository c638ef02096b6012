#include "headrace/connectors/part_name.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace headrace {
namespace {

constexpr char kInProgress[] = ".inprogress";

std::string Hex(uint32_t value) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int shift = 28; shift >= 0; shift -= 4) text += kDigits[value >> shift & 15];
  return text;
}

std::string Numbers(const PartName& name) {
  return Hex(name.run) + "-" + std::to_string(name.checkpoint_id) + "-" +
         std::to_string(name.subtask) + "-" + std::to_string(name.counter);
}

}  // namespace

std::string PartName::Final() const { return prefix + "-" + Numbers(*this) + suffix; }

std::string PartName::Temporary() const {
  return "." + prefix + "-" + Hex(owner) + "-" + Numbers(*this) + kInProgress;
}

bool PartName::ParseTemporary(std::string_view name, std::string_view prefix, uint32_t owner,
                              int* subtask) {
  const std::string start = "." + std::string(prefix) + "-" + Hex(owner) + "-";
  if (!name.starts_with(start) || !name.ends_with(kInProgress)) return false;
  name.remove_prefix(start.size());
  if (name.size() < sizeof(kInProgress)) return false;
  name.remove_suffix(sizeof(kInProgress) - 1);
  std::vector<std::string_view> parts;
  while (true) {
    const size_t dash = name.find('-');
    parts.push_back(name.substr(0, dash));
    if (dash == std::string_view::npos) break;
    name.remove_prefix(dash + 1);
  }
  if (parts.size() != 4 || parts[0].size() != 8) return false;
  const auto number = [](std::string_view text) {
    return !text.empty() && text.size() <= 20 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!number(parts[1]) || !number(parts[2]) || !number(parts[3])) return false;
  const char* end = parts[2].data() + parts[2].size();
  const auto [stop, error] = std::from_chars(parts[2].data(), end, *subtask);
  return error == std::errc() && stop == end;
}

}  // namespace headrace
