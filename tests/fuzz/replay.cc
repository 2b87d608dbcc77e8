// Runs stored inputs through the fuzzer's function, for compilers without libFuzzer: the arguments
// are files.
#include <cstdint>
#include <cstdio>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** names) {
  for (int i = 1; i < count; ++i) {
    std::FILE* const file = std::fopen(names[i], "rb");
    if (!file) return std::perror(names[i]), 2;
    std::vector<uint8_t> data(1 << 16);
    data.resize(std::fread(data.data(), 1, data.size(), file));
    std::fclose(file);
    LLVMFuzzerTestOneInput(data.data(), data.size());
  }
  std::printf("%d inputs: the engine and the oracle agree\n", count - 1);
}
