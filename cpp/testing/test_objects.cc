#include "testing/test_objects.h"

#include <utility>

#include "headrace/base/check.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

thread_local int lock_depth = 0;

// One for all instances, as a process has one host.
std::mutex& HostMutex() {
  static std::mutex mutex;
  return mutex;
}

constexpr uint32_t kAlive = 0x0b1ec700;
constexpr uint32_t kDead = 0xdeadbeef;

}  // namespace

/// Like a host object: shared references count up, the last one frees.
struct TestObjects::Value {
  ValueTag tag;
  int64_t number = 0;
  std::string text = {};
  int references = 1;
  uint32_t mark = kAlive;

  static Value* Of(Object object) {
    HR_CHECK(lock_held());
    auto* value = static_cast<Value*>(object);
    HR_CHECK(value != nullptr && value->mark == kAlive);
    return value;
  }
};

bool TestObjects::lock_held() { return lock_depth > 0; }

TestObjects::HostLock::HostLock(TestObjects* objects) {
  if (lock_depth++ == 0) HostMutex().lock();
  objects->Drain();
}

TestObjects::HostLock::~HostLock() {
  if (--lock_depth == 0) HostMutex().unlock();
}

TestObjects::~TestObjects() {
  { HostLock lock(this); }
  HR_CHECK_EQ(live(), 0);
}

Object TestObjects::New(Value value) {
  HR_CHECK(lock_held());
  ++live_;
  return new Value(std::move(value));
}

Object TestObjects::None() { return New({ValueTag::kNone}); }
Object TestObjects::Int(int64_t value) { return New({ValueTag::kInt, value}); }
Object TestObjects::Str(std::string value) { return New({ValueTag::kStr, 0, std::move(value)}); }

std::string TestObjects::Text(Object object) const {
  const Value* value = Value::Of(object);
  ByteWriter encoded;
  switch (value->tag) {
    case ValueTag::kInt:
      EncodeInt(value->number, &encoded);
      break;
    case ValueTag::kStr:
      EncodeStr(value->text, &encoded);
      break;
    default:
      EncodeNone(&encoded);
  }
  return DescribeValue(encoded.view());
}

size_t TestObjects::queued() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return dropped_.size();
}

void TestObjects::Drain() {
  HR_CHECK(lock_held());
  std::vector<std::vector<Object>> dropped;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    dropped.swap(dropped_);
  }
  for (const auto& values : dropped) Destroy(values);
}

void TestObjects::Destroy(const std::vector<Object>& values) {
  for (Object object : values) {
    if (object == nullptr) continue;
    Value* value = Value::Of(object);
    if (--value->references > 0) continue;
    value->mark = kDead;
    delete value;
    --live_;
  }
}

void TestObjects::Drop(std::vector<Object> values) {
  if (lock_held()) return Destroy(values);
  std::lock_guard<std::mutex> lock(mutex_);
  dropped_.push_back(std::move(values));
}

Status TestObjects::EncodeKey(Object value, std::string* out) {
  ByteWriter encoded;
  HR_RETURN_IF_ERROR(Encode(value, &encoded));
  *out += encoded.view();
  return Status::Ok();
}

Status TestObjects::Encode(Object object, ByteWriter* out) {
  const Value* value = Value::Of(object);
  switch (value->tag) {
    case ValueTag::kInt:
      EncodeInt(value->number, out);
      return Status::Ok();
    case ValueTag::kStr:
      EncodeStr(value->text, out);
      return Status::Ok();
    default:
      EncodeNone(out);
      return Status::Ok();
  }
}

Result<Object> TestObjects::Decode(std::string_view bytes) {
  ByteReader in(bytes);
  uint8_t tag = 0;
  HR_RETURN_IF_ERROR(in.Fixed(&tag));
  Value value{static_cast<ValueTag>(tag)};
  switch (value.tag) {
    case ValueTag::kNone:
      break;
    case ValueTag::kInt:
      HR_RETURN_IF_ERROR(in.ZigZag(&value.number));
      break;
    case ValueTag::kStr: {
      std::string_view text;
      HR_RETURN_IF_ERROR(in.String(&text));
      value.text = text;
      break;
    }
    default:
      return Status::Unimplemented("test objects are None, ints and strings; tag " +
                                   std::to_string(tag));
  }
  HR_RETURN_IF_ERROR(in.ExpectDone());
  return New(std::move(value));
}

Object TestObjects::Share(Object object) {
  ++Value::Of(object)->references;
  return object;
}

std::string TestObjects::Describe(Object value) { return Text(value).substr(0, 80); }

}  // namespace headrace
