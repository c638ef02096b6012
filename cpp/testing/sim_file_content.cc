#include "testing/sim_file_content.h"

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"

namespace headrace {

namespace {

constexpr uint64_t kSectorBytes = 512;

// Writes as a disk does: a gap before the place reads as zeros.
void Place(uint64_t offset, std::string_view bytes, std::string* image) {
  if (bytes.empty()) return;
  if (image->size() < offset + bytes.size()) image->resize(offset + bytes.size(), '\0');
  image->replace(offset, bytes.size(), bytes);
}

}  // namespace

void SimFileContent::Append(std::string_view bytes) {
  unsynced_.push_back({cached_.size(), std::string(bytes), false});
  cached_ += bytes;
}

void SimFileContent::Sync() {
  std::vector<UnsyncedAppend> lost;
  for (UnsyncedAppend& append : unsynced_) {
    if (append.lost) {
      lost.push_back(std::move(append));
    } else {
      Place(append.offset, append.bytes, &durable_);
    }
  }
  unsynced_ = std::move(lost);
}

void SimFileContent::FailSync() {
  for (UnsyncedAppend& append : unsynced_) append.lost = true;
}

int SimFileContent::Crash(SimRandom* random) {
  int torn = 0;
  for (const UnsyncedAppend& append : unsynced_) {
    switch (random->Below(3)) {
      case 0:
        break;
      case 1:
        Place(append.offset, append.bytes, &durable_);
        break;
      default:
        torn += PlaceTorn(append, random, &durable_) ? 1 : 0;
    }
  }
  unsynced_.clear();
  cached_ = durable_;
  return torn;
}

void SimFileContent::Crash(const CrashChooser& choose) {
  for (const UnsyncedAppend& append : unsynced_) {
    const std::string_view bytes = append.bytes;
    switch (static_cast<AppendRemains>(choose(kAppendRemains))) {
      case AppendRemains::kNothing:
        break;
      case AppendRemains::kAll:
        Place(append.offset, append.bytes, &durable_);
        break;
      case AppendRemains::kFirstHalf:
        Place(append.offset, bytes.substr(0, bytes.size() / 2), &durable_);
        break;
      case AppendRemains::kZeros:
        Place(append.offset, std::string(bytes.size(), '\0'), &durable_);
        break;
    }
  }
  unsynced_.clear();
  cached_ = durable_;
}

void SimFileContent::FlipBit(uint64_t bit) {
  HR_CHECK_LT(bit / 8, cached_.size());
  const auto mask = static_cast<char>(1u << (bit % 8));
  cached_[bit / 8] = static_cast<char>(cached_[bit / 8] ^ mask);
  if (bit / 8 < durable_.size()) {
    durable_[bit / 8] = static_cast<char>(durable_[bit / 8] ^ mask);
  }
  for (UnsyncedAppend& append : unsynced_) {
    if (bit / 8 < append.offset) continue;
    const uint64_t at = bit / 8 - append.offset;
    if (at < append.bytes.size()) append.bytes[at] = static_cast<char>(append.bytes[at] ^ mask);
  }
}

void SimFileContent::Cut(uint64_t size_bytes) {
  HR_CHECK_LE(size_bytes, cached_.size());
  cached_.resize(size_bytes);
  durable_.resize(std::min<uint64_t>(durable_.size(), size_bytes));
  for (UnsyncedAppend& append : unsynced_) {
    append.offset = std::min(append.offset, size_bytes);
    append.bytes.resize(std::min<uint64_t>(append.bytes.size(), size_bytes - append.offset));
  }
}

bool SimFileContent::PlaceTorn(const UnsyncedAppend& append, SimRandom* random,
                               std::string* image) {
  const std::string_view bytes = append.bytes;
  if (random->Chance(0.5)) {
    const std::string_view written = bytes.substr(0, random->Below(bytes.size() + 1));
    Place(append.offset, written, image);
    return written.size() < bytes.size();
  }
  // The new length is on disk, of the sectors only some are.
  if (image->size() < append.offset + bytes.size()) {
    image->resize(append.offset + bytes.size(), '\0');
  }
  bool torn = false;
  for (uint64_t at = 0; at < bytes.size();) {
    const uint64_t sector_end = (append.offset + at) / kSectorBytes * kSectorBytes + kSectorBytes;
    const uint64_t size = std::min<uint64_t>(sector_end - append.offset - at, bytes.size() - at);
    if (random->Chance(0.5)) {
      Place(append.offset + at, bytes.substr(at, size), image);
    } else {
      torn = true;
    }
    at += size;
  }
  return torn;
}

}  // namespace headrace
