// Which instructions may be used.
#pragma once

#include <cstdlib>
#include <string_view>

// Before a function: compiled twice where the compiler and the C library can choose at run time, by
// the processor alone. Eight numbers at once need more than the baseline of x86-64 has.
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && !defined(__clang__)
#define TOKENMILL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TOKENMILL_CLONES
#endif

namespace tokenmill {

enum class Instructions { kPlain, kNeon, kAvx2, kAvx512 };

// The best of this processor, of those that TOKENMILL_INSTRUCTIONS allows: "plain", nothing but the
// baseline of the architecture (TOKENMILL_CLONES aside), or "avx2", not what came later. It is for tests.
inline Instructions instructions() {
  const char* const set = std::getenv("TOKENMILL_INSTRUCTIONS");
  const std::string_view allowed = set ? set : "";
  if (allowed == "plain") return Instructions::kPlain;
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) return Instructions::kPlain;
  if (allowed == "avx2" || !__builtin_cpu_supports("avx512vbmi")) return Instructions::kAvx2;
  return Instructions::kAvx512;
#elif defined(__aarch64__)
  return Instructions::kNeon;
#else
  return Instructions::kPlain;
#endif
}

}  // namespace tokenmill
