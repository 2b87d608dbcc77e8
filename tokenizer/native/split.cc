#include "split.h"

#include <cstdlib>
#include <cstring>

#include "utf8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace tokenmill {

namespace plain {

static size_t run_length(const uint8_t* loop, const uint8_t* at) {
  size_t length = 0;
  while (length < 16 && at[length] < 0x80 && (loop[at[length] & 15] >> (at[length] >> 4) & 1))
    ++length;
  return length;
}

#include "split_kernel.h"

}  // namespace plain

#if defined(__x86_64__)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2")
#endif
namespace avx2 {

static inline size_t run_length(const uint8_t* loop, const uint8_t* at) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(loop));
  const __m128i bit_of = _mm_set1_epi64x(int64_t(0x8040201008040201));
  // A shuffle gives 0 where the index has its top bit set, so bytes above 127 are in no loop.
  const __m128i rows = _mm_shuffle_epi8(table, bytes);
  const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
  const __m128i bits = _mm_and_si128(rows, _mm_shuffle_epi8(bit_of, high));
  const int outside = _mm_movemask_epi8(_mm_cmpeq_epi8(bits, _mm_setzero_si128()));
  return size_t(__builtin_ctz(unsigned(outside) | 0x10000u));
}

#include "split_kernel.h"

}  // namespace avx2
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#elif defined(__aarch64__)
namespace neon {

static inline size_t run_length(const uint8_t* loop, const uint8_t* at) {
  const uint8x16_t bytes = vld1q_u8(at);
  const uint8x16_t bit_of = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  const uint8x16_t rows = vqtbl1q_u8(vld1q_u8(loop), vandq_u8(bytes, vdupq_n_u8(15)));
  // Bytes above 127 look up bit_of[8..15], which repeats: take them out.
  const uint8x16_t ascii = vcltq_u8(bytes, vdupq_n_u8(128));
  const uint8x16_t bits = vandq_u8(rows, vqtbl1q_u8(bit_of, vshrq_n_u8(bytes, 4)));
  const uint8x16_t outside = vorrq_u8(vceqzq_u8(bits), vmvnq_u8(ascii));
  const uint64_t nibbles =
      vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(outside), 4)), 0);
  return nibbles ? size_t(__builtin_ctzll(nibbles)) / 4 : 16;
}

#include "split_kernel.h"

}  // namespace neon
#endif

SplitLanes choose_split() {
  const char* const plain_only = std::getenv("TOKENMILL_PLAIN");
  if (plain_only && std::strcmp(plain_only, "1") == 0) return plain::split_lanes;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) return avx2::split_lanes;
#elif defined(__aarch64__)
  return neon::split_lanes;
#endif
  return plain::split_lanes;
}

const char* split_name(SplitLanes split) {
#if defined(__x86_64__)
  if (split == avx2::split_lanes) return "avx2";
#elif defined(__aarch64__)
  if (split == neon::split_lanes) return "neon";
#endif
  return split == plain::split_lanes ? "plain" : "unknown";
}

}  // namespace tokenmill
