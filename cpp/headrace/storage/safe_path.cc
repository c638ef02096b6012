#include "headrace/storage/safe_path.h"

#include <cstdio>

#include "headrace/base/hash.h"

namespace headrace {

namespace {

constexpr size_t kSegmentsMax = 4;
constexpr size_t kSegmentCharsMax = 80;
constexpr size_t kReadableCharsMax = 60;
constexpr size_t kQuotedCharsMax = 100;

// No locale: what is allowed must not depend on the machine.
bool Allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

std::string Quoted(std::string_view name) {
  std::string text = "'";
  for (const char c : name.substr(0, kQuotedCharsMax)) text += c >= ' ' && c <= '~' ? c : '?';
  text += name.size() > kQuotedCharsMax ? "…'" : "'";
  return text;
}

Status Refused(std::string_view name, const std::string& why) {
  return Status::InvalidArgument("unsafe file name " + Quoted(name) + ": " + why);
}

Status ValidateSegment(std::string_view name, std::string_view segment) {
  if (segment.empty()) return Refused(name, "empty segment");
  if (segment.size() > kSegmentCharsMax) {
    return Refused(name, "segment longer than " + std::to_string(kSegmentCharsMax) + " characters");
  }
  if (segment.front() == '.') return Refused(name, "segment starts with a dot");
  for (const char c : segment) {
    if (!Allowed(c)) return Refused(name, "only a-z, 0-9, '.', '_' and '-' are allowed");
  }
  return Status::Ok();
}

}  // namespace

Status ValidateRelativeName(std::string_view name) {
  std::string_view rest = name;
  for (size_t segments = 1;; ++segments) {
    if (segments > kSegmentsMax) {
      return Refused(name, "more than " + std::to_string(kSegmentsMax) + " segments");
    }
    const size_t slash = rest.find('/');
    HR_RETURN_IF_ERROR(ValidateSegment(name, rest.substr(0, slash)));
    if (slash == std::string_view::npos) return Status::Ok();
    rest.remove_prefix(slash + 1);
  }
}

Result<std::string> JoinSafely(std::string_view root, std::string_view name) {
  HR_RETURN_IF_ERROR(ValidateRelativeName(name));
  std::string path(root);
  if (path.empty() || path.back() != '/') path += '/';
  path += name;
  return path;
}

std::string SanitizeName(std::string_view job_name) {
  std::string readable;
  for (char c : job_name) {
    if (readable.size() == kReadableCharsMax) break;
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!Allowed(c)) c = '-';
    // Runs of replaced characters shrink to one dash, and none leads: "…/../x" becomes "x".
    const bool filler = c == '-' || c == '.';
    if (filler && (readable.empty() || readable.back() == '-')) continue;
    readable += c;
  }
  while (readable.ends_with('-') || readable.ends_with('.')) readable.pop_back();
  if (readable.empty()) readable = "job";
  char suffix[16];
  std::snprintf(suffix, sizeof(suffix), "-%08x",
                static_cast<unsigned>(Hash64(job_name) & 0xffffffffu));
  return readable + suffix;
}

}  // namespace headrace
