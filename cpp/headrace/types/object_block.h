#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"

namespace headrace {

/// What the core may ask about opaque values; implemented by bindings (Python) and by cpp/testing.
///
/// An `Object` is one owned reference. The core never counts references of single values: they live
/// in blocks, and a block is dropped as a whole.
/// Threading: all but Drop() are called only by threads that may touch host values (a task that
/// calls Python holds the GIL around Process and friends); Drop() is called from any thread and may
/// defer the work.
using Object = void*;

class ObjectHooks {
 public:
  virtual ~ObjectHooks() = default;
  /// Gives up the references of a dead block; may queue them for a thread that holds the host's
  /// lock.
  virtual void Drop(std::vector<Object> values) = 0;
  /// Appends the canonical key encoding (key_codec.h) of `value`; kInvalidArgument when it cannot
  /// be a key.
  virtual Status EncodeKey(Object value, std::string* out) = 0;
  /// Key groups of several values: KeyGroupOf what EncodeKey appends for each, and fails as it.
  virtual Status KeyGroups(const Object* values, int64_t count, int max_parallelism, uint16_t* out);
  /// Appends the typed value encoding (value_codec.h).
  virtual Status Encode(Object value, ByteWriter* out) = 0;
  /// New owned reference from what Encode wrote.
  virtual Result<Object> Decode(std::string_view bytes) = 0;
  /// Another owned reference to the same value.
  virtual Object Share(Object value) = 0;
  /// What a second reader of a stream gets: an owned reference to a copy if `value` can be changed,
  /// else to the same value.
  virtual Result<Object> CopyForFanOut(Object value) { return Share(value); }
  /// Short text for messages ("{'a': 1, …}", at most ~80 characters).
  virtual std::string Describe(Object value) = 0;
};

/// A counted array of opaque values that die together. Object columns refer to (block, row index);
/// filter, union and exchange pass those on without touching a value.
/// Threading: immutable once shared; the last owner's thread calls ObjectHooks::Drop.
class ObjectBlock {
 public:
  ObjectBlock(ObjectHooks* hooks, std::vector<Object> values)
      : hooks_(hooks), values_(std::move(values)) {}
  ~ObjectBlock() {
    if (!values_.empty()) hooks_->Drop(std::move(values_));
  }
  ObjectBlock(const ObjectBlock&) = delete;
  ObjectBlock& operator=(const ObjectBlock&) = delete;

  ObjectHooks* hooks() const { return hooks_; }
  size_t size() const { return values_.size(); }
  Object at(size_t i) const { return values_[i]; }
  const Object* data() const { return values_.data(); }

 private:
  ObjectHooks* hooks_;
  std::vector<Object> values_;
};
using ObjectBlockPtr = std::shared_ptr<const ObjectBlock>;

}  // namespace headrace
