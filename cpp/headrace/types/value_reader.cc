#include "headrace/types/python_text.h"
#include "headrace/types/temporal.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int kDepthMax = 200;

/// Walks one encoded value, checks it, and writes its text unless `out` is null. One walk for both,
/// so that what can be described is what can be skipped.
class ValueWalker {
 public:
  ValueWalker(ByteReader* in, std::string* out) : in_(in), out_(out) {}

  Status Value(int depth) {
    if (depth > kDepthMax) return Malformed("nested more than 200 deep");
    uint8_t tag = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&tag));
    switch (static_cast<ValueTag>(tag)) {
      case ValueTag::kNone:
        return Put("None");
      case ValueTag::kFalse:
        return Put("False");
      case ValueTag::kTrue:
        return Put("True");
      case ValueTag::kInt:
        return Int();
      case ValueTag::kBigInt:
        return Text("", AppendBigIntText, "");
      case ValueTag::kFloat:
        return Float();
      case ValueTag::kStr:
      case ValueTag::kStrSurrogates:
        return Text("", AppendStrRepr, "");
      case ValueTag::kBytes:
        return Text("", AppendBytesRepr, "");
      case ValueTag::kByteArray:
        return Text("bytearray(", AppendBytesRepr, ")");
      case ValueTag::kPickle:
        return Text("pickle(", AppendLength, ")");
      case ValueTag::kDecimal:
        return Text("Decimal(", AppendStrRepr, ")");
      case ValueTag::kTuple:
        return Sequence("(", ")", /*tuple=*/true, depth);
      case ValueTag::kList:
        return Sequence("[", "]", false, depth);
      case ValueTag::kSet:
        return Sequence("{", "}", false, depth, "set()");
      case ValueTag::kFrozenSet:
        return Sequence("frozenset({", "})", false, depth, "frozenset()");
      case ValueTag::kDict:
        return Dict(depth);
      case ValueTag::kDate:
        return Date();
      case ValueTag::kTime:
        return Time();
      case ValueTag::kDateTime:
        return DateTime();
      case ValueTag::kTimeDelta:
        return TimeDelta();
      case ValueTag::kUuid:
        return Uuid();
      case ValueTag::kRow:
        return Row(depth);
      case ValueTag::kNamedTuple:
        return NamedTuple(depth);
      case ValueTag::kDataclass:
        return Dataclass(depth);
      case ValueTag::kNumpyScalar:
        return NumpyScalar();
      case ValueTag::kEnum:
        return Enum();
    }
    return Malformed("unknown tag " + std::to_string(tag));
  }

 private:
  static void AppendLength(std::string_view bytes, std::string* out) {
    *out += std::to_string(bytes.size()) + " bytes";
  }

  Status Malformed(const std::string& what) const {
    return Status::Corruption("offset " + std::to_string(in_->offset()) +
                              ": encoded value: " + what);
  }

  Status Put(std::string_view text) {
    if (out_) *out_ += text;
    return Status::Ok();
  }

  Status Int() {
    int64_t value = 0;
    HR_RETURN_IF_ERROR(in_->ZigZag(&value));
    if (out_) AppendIntText(value, out_);
    return Status::Ok();
  }

  Status Float() {
    double value = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&value));
    if (out_) AppendFloatText(value, out_);
    return Status::Ok();
  }

  /// A length-prefixed payload that `append` shows.
  Status Text(std::string_view before, void (*append)(std::string_view, std::string*),
              std::string_view after) {
    std::string_view payload;
    HR_RETURN_IF_ERROR(in_->String(&payload));
    if (out_) {
      *out_ += before;
      append(payload, out_);
      *out_ += after;
    }
    return Status::Ok();
  }

  Status Sequence(std::string_view open, std::string_view close, bool tuple, int depth,
                  std::string_view empty = {}) {
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_->Count(1, &count));
    if (count == 0 && !empty.empty()) return Put(empty);
    HR_RETURN_IF_ERROR(Put(open));
    for (uint64_t i = 0; i < count; ++i) {
      if (i > 0) HR_RETURN_IF_ERROR(Put(", "));
      HR_RETURN_IF_ERROR(Value(depth + 1));
    }
    if (tuple && count == 1) HR_RETURN_IF_ERROR(Put(","));
    return Put(close);
  }

  Status Dict(int depth) {
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_->Count(2, &count));
    HR_RETURN_IF_ERROR(Put("{"));
    for (uint64_t i = 0; i < count; ++i) {
      if (i > 0) HR_RETURN_IF_ERROR(Put(", "));
      HR_RETURN_IF_ERROR(Value(depth + 1));
      HR_RETURN_IF_ERROR(Put(": "));
      HR_RETURN_IF_ERROR(Value(depth + 1));
    }
    return Put("}");
  }

  Status Date() {
    int64_t days = 0;
    HR_RETURN_IF_ERROR(in_->ZigZag(&days));
    if (days < kDateDaysMin || days > kDateDaysMax)
      return Malformed("a date outside years 1 to 9999");
    if (out_) AppendDateRepr(days, out_);
    return Status::Ok();
  }

  /// The offset behind a time or datetime, and the closing parenthesis.
  Status Zone() {
    uint8_t kind = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&kind));
    if (kind == 0) return Put(")");
    if (kind == 1) {
      int64_t seconds = 0;
      HR_RETURN_IF_ERROR(in_->ZigZag(&seconds));
      if (seconds <= -86'400 || seconds >= 86'400) return Malformed("an offset of over a day");
      if (!out_) return Status::Ok();
      *out_ += ", tzinfo=datetime.timezone";
      if (seconds == 0) {
        *out_ += ".utc)";
        return Status::Ok();
      }
      out_->push_back('(');
      AppendTimeDeltaRepr(seconds < 0 ? -1 : 0, seconds < 0 ? seconds + 86'400 : seconds, 0, out_);
      *out_ += "))";
      return Status::Ok();
    }
    if (kind != 2) return Malformed("offset kind " + std::to_string(kind));
    std::string_view key;
    HR_RETURN_IF_ERROR(in_->String(&key));
    if (out_) {
      *out_ += ", tzinfo=zoneinfo.ZoneInfo(key=";
      AppendStrRepr(key, out_);
      *out_ += "))";
    }
    return Status::Ok();
  }

  Status Time() {
    uint64_t micros = 0;
    HR_RETURN_IF_ERROR(in_->Varint(&micros));
    if (micros >= uint64_t{kMicrosPerDay}) return Malformed("a time of over a day");
    if (out_) {
      *out_ += "datetime.time(";
      AppendTimeArguments(static_cast<int64_t>(micros), out_);
    }
    return Zone();
  }

  Status DateTime() {
    int64_t micros = 0;
    uint8_t fold = 0;
    HR_RETURN_IF_ERROR(in_->ZigZag(&micros));
    HR_RETURN_IF_ERROR(in_->Fixed(&fold));
    if (fold > 1) return Malformed("fold " + std::to_string(fold));
    if (out_) {
      *out_ += "datetime.datetime(";
      AppendDateTimeArguments(micros, out_);
      if (fold == 1) *out_ += ", fold=1";
    }
    return Zone();
  }

  Status TimeDelta() {
    int64_t days = 0;
    uint64_t seconds = 0;
    uint64_t micros = 0;
    HR_RETURN_IF_ERROR(in_->ZigZag(&days));
    HR_RETURN_IF_ERROR(in_->Varint(&seconds));
    HR_RETURN_IF_ERROR(in_->Varint(&micros));
    if (seconds >= 86'400 || micros >= 1'000'000) {
      return Malformed("a timedelta not in normal form");
    }
    if (out_) {
      AppendTimeDeltaRepr(days, static_cast<int64_t>(seconds), static_cast<int64_t>(micros), out_);
    }
    return Status::Ok();
  }

  Status Uuid() {
    std::string_view bytes;
    HR_RETURN_IF_ERROR(in_->Raw(16, &bytes));
    if (!out_) return Status::Ok();
    *out_ += "UUID('";
    for (size_t i = 0; i < 16; ++i) {
      if (i == 4 || i == 6 || i == 8 || i == 10) out_->push_back('-');
      const uint8_t byte = static_cast<uint8_t>(bytes[i]);
      out_->push_back("0123456789abcdef"[byte >> 4]);
      out_->push_back("0123456789abcdef"[byte & 15]);
    }
    *out_ += "')";
    return Status::Ok();
  }

  Status Row(int depth) {
    uint8_t kind = 0;
    uint8_t named = 0;
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&kind));
    HR_RETURN_IF_ERROR(in_->Count(1, &count));
    HR_RETURN_IF_ERROR(in_->Fixed(&named));
    if (kind > 3) return Malformed("row kind " + std::to_string(kind));
    if (named > 1) return Malformed("flag " + std::to_string(named));
    // The names stand in front of the values; a second reader walks along them.
    ByteReader names = *in_;
    std::string_view name;
    if (named == 1) {
      for (uint64_t i = 0; i < count; ++i) HR_RETURN_IF_ERROR(in_->String(&name));
    }
    HR_RETURN_IF_ERROR(Put("Row("));
    for (uint64_t i = 0; i < count; ++i) {
      if (i > 0) HR_RETURN_IF_ERROR(Put(", "));
      if (named == 1) {
        HR_RETURN_IF_ERROR(names.String(&name));
        HR_RETURN_IF_ERROR(Put(name));
        HR_RETURN_IF_ERROR(Put("="));
      }
      HR_RETURN_IF_ERROR(Value(depth + 1));
    }
    return Put(")");
  }

  Status NamedTuple(int depth) {
    std::string_view name;
    HR_RETURN_IF_ERROR(in_->String(&name));
    HR_RETURN_IF_ERROR(Put(name));
    return Sequence("(", ")", false, depth);
  }

  Status Dataclass(int depth) {
    std::string_view name;
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_->String(&name));
    HR_RETURN_IF_ERROR(in_->Count(2, &count));
    HR_RETURN_IF_ERROR(Put(name));
    HR_RETURN_IF_ERROR(Put("("));
    for (uint64_t i = 0; i < count; ++i) {
      if (i > 0) HR_RETURN_IF_ERROR(Put(", "));
      HR_RETURN_IF_ERROR(in_->String(&name));
      HR_RETURN_IF_ERROR(Put(name));
      HR_RETURN_IF_ERROR(Put("="));
      HR_RETURN_IF_ERROR(Value(depth + 1));
    }
    return Put(")");
  }

  Status NumpyScalar() {
    std::string_view dtype;
    HR_RETURN_IF_ERROR(in_->String(&dtype));
    HR_RETURN_IF_ERROR(Put("numpy("));
    if (out_) AppendStrRepr(dtype, out_);
    return Text(", ", AppendBytesRepr, ")");
  }

  Status Enum() {
    std::string_view name;
    HR_RETURN_IF_ERROR(in_->String(&name));
    HR_RETURN_IF_ERROR(Put(name));
    HR_RETURN_IF_ERROR(in_->String(&name));
    HR_RETURN_IF_ERROR(Put("."));
    return Put(name);
  }

  ByteReader* in_;
  std::string* out_;
};

}  // namespace

Status SkipValue(ByteReader* in) { return ValueWalker(in, nullptr).Value(0); }

Status CheckValue(std::string_view encoded) {
  ByteReader in(encoded);
  HR_RETURN_IF_ERROR(SkipValue(&in));
  return in.ExpectDone();
}

std::string DescribeValue(std::string_view encoded) {
  std::string text;
  ByteReader in(encoded);
  if (ValueWalker(&in, &text).Value(0).ok() && in.done()) return text;
  text = "<" + std::to_string(encoded.size()) + " bytes that are not a value: ";
  AppendBytesRepr(encoded.substr(0, 32), &text);
  return text + (encoded.size() > 32 ? "...>" : ">");
}

}  // namespace headrace
