// Typed values and operator state of any bytes are read or refused: what can be stepped over can be
// described, and the other way round.
#include <string>

#include "fuzz_input.h"
#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/state/operator_state.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

void ReadValue(std::string_view bytes) {
  ByteReader in(bytes);
  const bool is_value = SkipValue(&in).ok() && in.done();
  const std::string text = DescribeValue(bytes);
  const std::string refusal = "<" + std::to_string(bytes.size()) + " bytes that are not a value: ";
  HR_CHECK_EQ(is_value, !text.starts_with(refusal));
}

void ReadOperatorState(std::string_view bytes) {
  const Result<OperatorState> state = OperatorState::Decode(bytes);
  if (!state.ok()) return;
  const std::string written = state->Encode();
  const Result<OperatorState> again = OperatorState::Decode(written);
  HR_CHECK(again.ok());
  HR_CHECK(again->Encode() == written);
  for (int index = 0; index < 3; ++index) {
    OperatorState::Redistribute({*state, *again}, index, 3);
  }
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = headrace::FuzzInput(data, size).Rest();
  headrace::ReadValue(bytes);
  headrace::ReadOperatorState(bytes);
  return 0;
}
