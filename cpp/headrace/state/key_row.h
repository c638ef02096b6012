#pragma once

#include <cstdint>

#include "headrace/state/key_arena.h"
#include "headrace/types/key_codec.h"

namespace headrace {

/// A row of a key dictionary's table.
struct KeyRow {
  KeyForm form;
  uint8_t unused;
  uint16_t key_group;
  uint32_t unused2;
  union {
    int64_t number;         ///< kInt
    const ArenaKey* bytes;  ///< kStr, kBytes
  };

  Key key() const {
    if (form == KeyForm::kInt) return Key::OfInt(number);
    return {form, 0, bytes->bytes()};
  }
  /// About what the row takes when encoded.
  int64_t encoded_bytes() const {
    return form == KeyForm::kInt ? 8 : 6 + static_cast<int64_t>(bytes->size_bytes);
  }
};
static_assert(sizeof(KeyRow) == 16);

}  // namespace headrace
