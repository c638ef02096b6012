// CRC32C with and without the processor's instruction: the one kernel that chooses at run time.
// Headers of blocks are short, what is checked with them is 48 bytes and up.
#include <benchmark/benchmark.h>

#include <string>

#include "headrace/base/hash.h"

namespace headrace {
namespace {

template <uint32_t (*Crc)(uint32_t, const void*, size_t)>
void BM_Crc32c(benchmark::State& state) {
  const std::string bytes(static_cast<size_t>(state.range(0)), 'x');
  uint32_t crc = 0;
  for (auto _ : state) benchmark::DoNotOptimize(crc = Crc(crc, bytes.data(), bytes.size()));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Crc32c<Crc32c>)->Name("BM_Crc32c")->Arg(48)->Arg(4096)->Arg(1 << 20);
BENCHMARK(BM_Crc32c<internal::Crc32cPortable>)
    ->Name("BM_Crc32cPortable")
    ->Arg(48)
    ->Arg(4096)
    ->Arg(1 << 20);

}  // namespace
}  // namespace headrace
