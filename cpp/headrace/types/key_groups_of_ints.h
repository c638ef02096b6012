#pragma once

#include <cstdint>

namespace headrace {

/// KeyGroupOfInt (key_codec.h) of each of `count` keys. Keys are encoded without branches and
/// hashed together with those of equal size: keys of many sizes in turn would have each branch on a
/// size mispredicted, which costs more than the hash.
/// Cost: about 5 ns a key.
void KeyGroupsOfInts(const int64_t* keys, int64_t count, int max_parallelism, uint16_t* out);

}  // namespace headrace
