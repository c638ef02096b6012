#pragma once

#include <cstdint>

#include "headrace/types/column.h"

namespace headrace {

/// The dictionary entry that row `row` refers to; not checked against the dictionary's length.
/// REQUIRES: kDictionary, row not null.
inline int64_t DictionaryIndexAt(const Column& column, int64_t row) {
  switch (column.type->arrow_format()[0]) {
    case 'c':
      return column.Values<int8_t>()[row];
    case 'C':
      return column.Values<uint8_t>()[row];
    case 's':
      return column.Values<int16_t>()[row];
    case 'S':
      return column.Values<uint16_t>()[row];
    case 'i':
      return column.Values<int32_t>()[row];
    case 'I':
      return column.Values<uint32_t>()[row];
    default:
      return column.Values<int64_t>()[row];
  }
}

/// Largest index that the column's index type can hold.
inline int64_t DictionaryIndexMax(const DataType& type) {
  switch (type.arrow_format()[0]) {
    case 'c':
      return INT8_MAX;
    case 'C':
      return UINT8_MAX;
    case 's':
      return INT16_MAX;
    case 'S':
      return UINT16_MAX;
    case 'i':
      return INT32_MAX;
    case 'I':
      return UINT32_MAX;
    default:
      return INT64_MAX;
  }
}

}  // namespace headrace
