// Any bytes are a manifest or refused; a body of any bytes under right checksums, too. What was
// read is written and read again as the same bytes.
#include <string>

#include "fuzz_input.h"
#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/base/hash.h"
#include "headrace/checkpoint/manifest.h"

namespace headrace {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kTrailerBytes = 20;

/// An empty manifest with its body exchanged, and lengths and checksums set right.
std::string Sealed(std::string_view body) {
  ByteWriter out;
  out.Raw(std::string_view(SerializeManifest(Manifest())).substr(0, 16));
  out.Fixed<uint64_t>(body.size());
  out.Fixed<uint32_t>(0);
  out.Fixed<uint32_t>(Crc32c(0, out.view().data(), out.size()));
  HR_CHECK_EQ(out.size(), kHeaderBytes);
  out.Raw(body);
  const Digest128 digest = Hash128(out.view());
  out.Fixed(digest.low);
  out.Fixed(digest.high);
  out.Fixed<uint32_t>(Crc32c(0, out.view().data(), out.size()));
  return out.Take();
}

void ReadAndWriteAgain(std::string_view bytes) {
  const Result<Manifest> manifest = ParseManifest(bytes, "fuzzed");
  if (!manifest.ok()) return;
  const std::string written = SerializeManifest(*manifest);
  const Result<Manifest> again = ParseManifest(written, "written");
  HR_CHECK(again.ok());
  HR_CHECK(SerializeManifest(*again) == written);
  for (const OperatorManifest& op : manifest->operators) {
    HR_CHECK(manifest->Find(op.operator_id) != nullptr);
    for (const SubtaskManifest& subtask : op.subtasks) {
      for (const TableManifest& table : subtask.tables) {
        for (const auto& chain : table.partitions) HR_CHECK(chain.empty() || chain[0].whole);
      }
    }
  }
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes = headrace::FuzzInput(data, size).Rest();
  headrace::ReadAndWriteAgain(bytes);
  // As a body of its own, and as a whole file whose body is changed.
  headrace::ReadAndWriteAgain(headrace::Sealed(bytes));
  if (bytes.size() > headrace::kHeaderBytes + headrace::kTrailerBytes) {
    std::string_view body = bytes.substr(headrace::kHeaderBytes);
    body.remove_suffix(headrace::kTrailerBytes);
    headrace::ReadAndWriteAgain(headrace::Sealed(body));
  }
  return 0;
}
