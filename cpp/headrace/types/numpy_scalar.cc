#include "headrace/types/numpy_scalar.h"

#include <cstring>

namespace headrace {
namespace {

template <typename T>
T Read(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

bool ReadSigned(std::string_view bytes, int64_t* out) {
  switch (bytes.size()) {
    case 1:
      *out = Read<int8_t>(bytes);
      return true;
    case 2:
      *out = Read<int16_t>(bytes);
      return true;
    case 4:
      *out = Read<int32_t>(bytes);
      return true;
    case 8:
      *out = Read<int64_t>(bytes);
      return true;
    default:
      return false;
  }
}

bool ReadUnsigned(std::string_view bytes, int64_t* out) {
  uint64_t value = 0;
  if (bytes.empty() || bytes.size() > sizeof(value)) return false;
  std::memcpy(&value, bytes.data(), bytes.size());  // little-endian, as dtypes with '<' are
  *out = static_cast<int64_t>(value);
  return *out >= 0;
}

}  // namespace

bool ReadNumpy(std::string_view dtype, std::string_view bytes, NumpyScalar* out) {
  // "<i8": byte order, kind, width in bytes.
  if (dtype.size() != 3 || (dtype[0] != '<' && dtype[0] != '|')) return false;
  if (static_cast<size_t>(dtype[2] - '0') != bytes.size()) return false;
  switch (dtype[1]) {
    case 'b':
      out->kind = NumpyScalar::Kind::kBool;
      out->integer = bytes.size() == 1 && bytes[0] != 0 ? 1 : 0;
      return bytes.size() == 1;
    case 'i':
      out->kind = NumpyScalar::Kind::kInt;
      return ReadSigned(bytes, &out->integer);
    case 'u':
      out->kind = NumpyScalar::Kind::kInt;
      return ReadUnsigned(bytes, &out->integer);
    case 'f':
      out->kind = NumpyScalar::Kind::kFloat;
      if (bytes.size() == 4) out->number = Read<float>(bytes);
      if (bytes.size() == 8) out->number = Read<double>(bytes);
      return bytes.size() == 4 || bytes.size() == 8;
    default:
      return false;
  }
}

}  // namespace headrace
