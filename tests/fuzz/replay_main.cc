// Runs the inputs of a corpus through a fuzz target that was built without a fuzzer: each argument
// is a file or a folder of them.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fuzz_input.h"

namespace {

int inputs = 0;

void Replay(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(1);
  }
  std::fprintf(stderr, "%s\n", path.c_str());  // the last one printed is the one that crashed
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  ++inputs;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::filesystem::path path = argv[i];
    if (!std::filesystem::is_directory(path)) {
      Replay(path);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) Replay(entry.path());
  }
  std::printf("%d inputs, no crash\n", inputs);
  return inputs > 0 ? 0 : 1;  // a corpus that is not there proves nothing
}
