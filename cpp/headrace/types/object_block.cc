#include "headrace/types/object_block.h"

#include "headrace/types/key_codec.h"

namespace headrace {

Status ObjectHooks::KeyGroups(const Object* values, int64_t count, int max_parallelism,
                              uint16_t* out) {
  std::string encoded;
  for (int64_t i = 0; i < count; ++i) {
    encoded.clear();
    HR_RETURN_IF_ERROR(EncodeKey(values[i], &encoded));
    out[i] = KeyGroupOf(encoded, max_parallelism);
  }
  return Status::Ok();
}

}  // namespace headrace
