#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "headrace/types/arrow_c_data.h"

namespace headrace {

/// A type, as a producer of Arrow data describes it.
struct FuzzedType {
  std::string format;
  std::vector<FuzzedType> children;
  std::unique_ptr<FuzzedType> dictionary;

  static FuzzedType Read(FuzzInput* in, int depth = 0);
};

/// Makes a schema and an array of the type, with lengths, offsets, nulls and values of the input's
/// choice. Memory is as large as lengths and offsets promise and not a byte larger, as no consumer
/// can know better; everything else may be wrong. To be released as the interface says.
void MakeSchema(const FuzzedType& type, const std::string& name, ArrowSchema* out);
void MakeArray(const FuzzedType& type, int64_t length, FuzzInput* in, ArrowArray* out);

/// Schemas and arrays made and not yet released.
int64_t UnreleasedNodes();

}  // namespace headrace
