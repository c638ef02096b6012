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
  changes_.push_back({false, cached_.size(), std::string(bytes), false});
  cached_ += bytes;
}

void SimFileContent::Truncate(uint64_t size_bytes) {
  HR_CHECK_LE(size_bytes, cached_.size());
  if (size_bytes == cached_.size()) return;
  changes_.push_back({true, size_bytes, "", false});
  cached_.resize(size_bytes);
}

void SimFileContent::Sync() {
  std::vector<Change> lost;
  for (Change& change : changes_) {
    if (change.lost) {
      lost.push_back(std::move(change));
    } else {
      Apply(change, &durable_);
    }
  }
  changes_ = std::move(lost);
}

void SimFileContent::FailSync() {
  for (Change& change : changes_) change.lost = true;
}

int SimFileContent::Crash(SimRandom* random) {
  int torn = 0;
  for (const Change& change : changes_) {
    switch (random->Below(3)) {
      case 0:
        break;
      case 1:
        Apply(change, &durable_);
        break;
      default:
        torn += ApplyTorn(change, random, &durable_) ? 1 : 0;
    }
  }
  changes_.clear();
  cached_ = durable_;
  return torn;
}

void SimFileContent::Crash(const CrashChooser& choose) {
  for (const Change& change : changes_) {
    if (change.truncation) {
      if (choose(2) != 0) Apply(change, &durable_);
      continue;
    }
    const std::string_view bytes = change.bytes;
    switch (static_cast<AppendRemains>(choose(kAppendRemains))) {
      case AppendRemains::kNothing:
        break;
      case AppendRemains::kAll:
        Apply(change, &durable_);
        break;
      case AppendRemains::kFirstHalf:
        Place(change.offset, bytes.substr(0, bytes.size() / 2), &durable_);
        break;
      case AppendRemains::kZeros:
        Place(change.offset, std::string(bytes.size(), '\0'), &durable_);
        break;
    }
  }
  changes_.clear();
  cached_ = durable_;
}

void SimFileContent::FlipBit(uint64_t bit) {
  HR_CHECK_LT(bit / 8, cached_.size());
  const auto mask = static_cast<char>(1u << (bit % 8));
  cached_[bit / 8] = static_cast<char>(cached_[bit / 8] ^ mask);
  if (bit / 8 < durable_.size()) {
    durable_[bit / 8] = static_cast<char>(durable_[bit / 8] ^ mask);
  }
  for (Change& change : changes_) {
    if (change.truncation || bit / 8 < change.offset) continue;
    const uint64_t at = bit / 8 - change.offset;
    if (at < change.bytes.size()) change.bytes[at] = static_cast<char>(change.bytes[at] ^ mask);
  }
}

void SimFileContent::Apply(const Change& change, std::string* image) {
  if (!change.truncation) {
    Place(change.offset, change.bytes, image);
  } else if (image->size() > change.offset) {
    image->resize(change.offset);
  }
}

bool SimFileContent::ApplyTorn(const Change& change, SimRandom* random, std::string* image) {
  // A truncation is one number in the inode: it is there or not.
  if (change.truncation) {
    Apply(change, image);
    return false;
  }
  const std::string_view bytes = change.bytes;
  if (random->Chance(0.5)) {
    const std::string_view written = bytes.substr(0, random->Below(bytes.size() + 1));
    Place(change.offset, written, image);
    return written.size() < bytes.size();
  }
  // The new length is on disk, of the sectors only some are.
  if (image->size() < change.offset + bytes.size()) {
    image->resize(change.offset + bytes.size(), '\0');
  }
  bool torn = false;
  for (uint64_t at = 0; at < bytes.size();) {
    const uint64_t sector_end = (change.offset + at) / kSectorBytes * kSectorBytes + kSectorBytes;
    const uint64_t size = std::min<uint64_t>(sector_end - change.offset - at, bytes.size() - at);
    if (random->Chance(0.5)) {
      Place(change.offset + at, bytes.substr(at, size), image);
    } else {
      torn = true;
    }
    at += size;
  }
  return torn;
}

}  // namespace headrace
