#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/bytes.h"
#include "headrace/types/column.h"

namespace headrace {

/// The typed, closed, pickle-free encoding of values in state and in keys. Kept for ever: tags are
/// never reused, new ones are appended. Each value is one tag byte and a payload:
///
///   tag  value              payload
///   0x00 None               -
///   0x01 False, 0x02 True   -
///   0x03 int, fits int64    zigzag varint, minimal
///   0x04 int, larger        varint byte count, two's complement little-endian, minimal
///   0x05 float              8 bytes IEEE 754 (as key: -0.0 is 0.0, any NaN 0x7ff8000000000000)
///   0x06 str                varint byte count, UTF-8
///   0x07 str with surrogates  varint byte count, UTF-8 with surrogates encoded ("surrogatepass")
///   0x08 bytes              varint byte count, bytes
///   0x09 tuple              varint count, values
///   0x0a list               varint count, values
///   0x0b dict               varint count, key value pairs in insertion order
///   0x0c set                varint count, values sorted by encoded bytes
///   0x0d frozenset          as set
///   0x0e date               zigzag varint days since 1970-01-01
///   0x0f time               varint microseconds since midnight, then offset (see 0x10)
///   0x10 datetime           zigzag varint microseconds since 1970-01-01 of the wall clock reading,
///                           fold (1 byte, 0 or 1), then offset, 1 byte: 0 = naive, 1 = fixed
///                           (followed by zigzag varint seconds), 2 = zoneinfo (followed by
///                           string key). Timestamp columns in UTC write fixed offset 0
///   0x11 timedelta          zigzag varint days, varint seconds, varint microseconds
///   0x12 Decimal            string as str(Decimal) gives it
///   0x13 UUID               16 bytes
///   0x14 Row                kind byte, varint count, flag named (1 byte), names if named, values
///   0x15 named tuple        string registered class name, varint count, values
///   0x16 dataclass          string registered class name, varint count, (name, value) pairs
///   0x17 numpy scalar       string dtype.str (native byte order as '<'), varint byte count, bytes
///   0x18 pickle             varint byte count, bytes (only where PICKLED_BYTE_ARRAY opted in)
///   0x19 bytearray          varint byte count, bytes
///   0x1a enum member        string registered class name, string member name
///
/// Source: decided here; nothing in a file names code to import: 0x15, 0x16, 0x1a are looked up in
/// the running program's registry.
enum class ValueTag : uint8_t {
  kNone = 0x00,
  kFalse = 0x01,
  kTrue = 0x02,
  kInt = 0x03,
  kBigInt = 0x04,
  kFloat = 0x05,
  kStr = 0x06,
  kStrSurrogates = 0x07,
  kBytes = 0x08,
  kTuple = 0x09,
  kList = 0x0a,
  kDict = 0x0b,
  kSet = 0x0c,
  kFrozenSet = 0x0d,
  kDate = 0x0e,
  kTime = 0x0f,
  kDateTime = 0x10,
  kTimeDelta = 0x11,
  kDecimal = 0x12,
  kUuid = 0x13,
  kRow = 0x14,
  kNamedTuple = 0x15,
  kDataclass = 0x16,
  kNumpyScalar = 0x17,
  kPickle = 0x18,
  kByteArray = 0x19,
  kEnum = 0x1a,
};

/// Encoders of the kinds that native columns have; identical bytes to what bindings write for host
/// values.
void EncodeNone(ByteWriter* out);
void EncodeBool(bool value, ByteWriter* out);
void EncodeInt(int64_t value, ByteWriter* out);
void EncodeFloat(double value, ByteWriter* out);
/// As above, with the rules for keys (one zero, one NaN).
void EncodeKeyFloat(double value, ByteWriter* out);
void EncodeStr(std::string_view utf8, ByteWriter* out);
void EncodeBytes(std::string_view bytes, ByteWriter* out);

/// Appends the encoding of row `row`; struct columns encode as tuples, object columns ask their
/// hooks. `as_key` applies the key rules.
Status EncodeColumnValue(const Column& column, int64_t row, bool as_key, ByteWriter* out);

/// Steps over one encoded value, checking its structure (depth ≤ 200); kCorruption when malformed.
Status SkipValue(ByteReader* in);
/// kCorruption when the bytes are not exactly one encoded value, as SkipValue() checks it.
Status CheckValue(std::string_view encoded);

/// Human form of an encoded value for tools and messages: `('a', 1)`; never fails, never runs code.
std::string DescribeValue(std::string_view encoded);

}  // namespace headrace
