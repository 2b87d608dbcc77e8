// Which instructions may be used.
#pragma once

#include <cstdlib>
#include <cstring>

namespace tokenmill {

// False also with TOKENMILL_PLAIN=1 in the environment: then nothing but the baseline of the
// architecture is used, for tests.
inline bool has_fast_instructions() {
  const char* const plain = std::getenv("TOKENMILL_PLAIN");
  if (plain && std::strcmp(plain, "1") == 0) return false;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#else
  return true;  // NEON is part of aarch64
#endif
}

}  // namespace tokenmill
