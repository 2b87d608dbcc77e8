#include "split_windows.h"

#include <algorithm>
#include <stdexcept>

#include "cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace tokenmill {

SplitWindows::SplitWindows(const std::vector<uint8_t>& group_of,
                           const std::vector<uint8_t>& verdicts, unsigned max_run)
    : max_run_(max_run) {
  if (group_of.size() != 128 || verdicts.size() != 512 || max_run > 63 ||
      *std::max_element(group_of.begin(), group_of.end()) > (7 | kMinority))
    throw std::invalid_argument("split windows: not 128 groups below 8, 512 verdicts and a count");
  for (size_t byte = 0; byte < 128; ++byte) {
    group_of_[byte] = group_of[byte] & 7;
    minority_[byte] = group_of[byte] & kMinority;
    for (unsigned k = 0; k < 3; ++k)
      group_bits_[k][byte & 15] |= uint8_t((group_of[byte] >> k & 1) << (byte >> 4));
  }
  for (size_t window = 0; window < 512; ++window) {
    const auto bit = uint8_t(1u << (window & 7));
    if (verdicts[window] & kCut) cut_[window >> 3] |= bit;
    if (verdicts[window] & kSingle) single_[window >> 3] |= bit;
    if (verdicts[window] & kUndecided) undecided_[window >> 3] |= bit;
    if (verdicts[window] & kMajority) majority_[window >> 3] |= bit;
    if (verdicts[window] & kRun) runs_ |= uint64_t{1} << (window >> 3);
  }
}

struct SplitWindows::Plain {
  static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    Verdicts found{};
    for (size_t i = 0; i < 64; ++i, ++at) {
      const uint64_t foreign = (at[-1] | at[0] | at[1]) >> 7;
      const auto group = [&](uint8_t byte) { return windows.group_of_[byte & 127]; };
      const size_t pair = size_t(group(at[-1]) << 3 | group(at[0]));
      const auto verdict = [&](const uint8_t* of) {
        return ((uint64_t{1} & of[pair] >> group(at[1])) | foreign) << i;
      };
      found.cut |= verdict(windows.cut_);
      found.single |= verdict(windows.single_);
      found.undecided |= verdict(windows.undecided_);
      found.foreign |= foreign << i;
    }
    return found;
  }
};

// The others hold what the look-ups of some places need. Their functions have attributes that a
// lambda could not have.

#if defined(__x86_64__)

#define TOKENMILL_AVX2 __attribute__((target("avx2")))

struct SplitWindows::Avx2 {  // 32 places
  __m256i index[4];          // into each quarter of a table, or above 127
  __m256i bit;
  uint32_t foreign;

  TOKENMILL_AVX2 static __m256i load(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  TOKENMILL_AVX2 static __m256i table(const uint8_t* at) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(at)));
  }
  TOKENMILL_AVX2 static __m256i bit_of(__m256i number) {
    return _mm256_shuffle_epi8(_mm256_set1_epi64x(int64_t(0x8040201008040201)), number);
  }
  // A shuffle gives 0 for what is above 127; such places are foreign.
  TOKENMILL_AVX2 static __m256i group(const SplitWindows& windows, __m256i bytes) {
    const __m256i row = bit_of(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(7)));
    __m256i groups = _mm256_setzero_si256();
    for (unsigned k = 0; k < 3; ++k) {
      const __m256i rows = _mm256_shuffle_epi8(table(windows.group_bits_[k]), bytes);
      const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(rows, row), row);
      groups = _mm256_or_si256(groups, _mm256_and_si256(is_set, _mm256_set1_epi8(char(1 << k))));
    }
    return groups;
  }
  TOKENMILL_AVX2 Avx2(const SplitWindows& windows, const uint8_t* at) {
    const __m256i a = load(at - 1), b = load(at), c = load(at + 1);
    foreign = uint32_t(_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(a, b), c)));
    bit = bit_of(group(windows, c));
    const __m256i pair =
        _mm256_or_si256(_mm256_slli_epi16(group(windows, a), 3), group(windows, b));
    for (int k = 0; k < 4; ++k)
      index[k] = _mm256_adds_epu8(_mm256_xor_si256(pair, _mm256_set1_epi8(char(k << 4))),
                                  _mm256_set1_epi8(0x70));
  }
  TOKENMILL_AVX2 uint64_t look_up(const uint8_t* verdicts) const {
    __m256i bits = _mm256_setzero_si256();
    for (int k = 0; k < 4; ++k)
      bits = _mm256_or_si256(bits, _mm256_shuffle_epi8(table(verdicts + 16 * k), index[k]));
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, bit), bit);
    return uint32_t(_mm256_movemask_epi8(is_set)) | foreign;
  }
  TOKENMILL_AVX2 static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    const Avx2 low(windows, at), high(windows, at + 32);
    return {low.look_up(windows.cut_) | high.look_up(windows.cut_) << 32,
            low.look_up(windows.single_) | high.look_up(windows.single_) << 32,
            low.look_up(windows.undecided_) | high.look_up(windows.undecided_) << 32, 0,
            low.foreign | uint64_t{high.foreign} << 32};
  }
};

#define TOKENMILL_AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi")))

struct SplitWindows::Avx512 {  // 64 places
  __m512i pair, bit;
  uint64_t foreign;

  TOKENMILL_AVX512 static __m512i group(const SplitWindows& windows, __m512i bytes) {
    return _mm512_permutex2var_epi8(_mm512_load_si512(windows.group_of_), bytes,
                                    _mm512_load_si512(windows.group_of_ + 64));
  }
  TOKENMILL_AVX512 Avx512(const SplitWindows& windows, const uint8_t* at) {
    const __m512i a = _mm512_loadu_si512(at - 1), b = _mm512_loadu_si512(at);
    const __m512i c = _mm512_loadu_si512(at + 1);
    foreign = _mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(a, b), c));
    bit = _mm512_shuffle_epi8(_mm512_set1_epi64(int64_t(0x8040201008040201)), group(windows, c));
    pair = _mm512_or_si512(_mm512_slli_epi16(group(windows, a), 3), group(windows, b));
  }
  TOKENMILL_AVX512 uint64_t look_up(const uint8_t* verdicts) const {
    const __m512i bits = _mm512_maskz_permutexvar_epi8(~uint64_t{0}, pair, _mm512_load_si512(verdicts));
    return _mm512_test_epi8_mask(bits, bit) | foreign;
  }
  TOKENMILL_AVX512 static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    const Avx512 all(windows, at);
    return {all.look_up(windows.cut_), all.look_up(windows.single_), all.look_up(windows.undecided_), 0,
            all.foreign};
  }
};

#elif defined(__aarch64__)

struct SplitWindows::Neon {  // 16 places
  uint8x16_t pair, bit, foreign;

  static uint8x16x4_t table(const uint8_t* at) { return vld1q_u8_x4(at); }
  // A look-up gives 0 for what is above 63.
  static uint8x16_t group(const SplitWindows& windows, uint8x16_t bytes) {
    return vorrq_u8(vqtbl4q_u8(table(windows.group_of_), bytes),
                    vqtbl4q_u8(table(windows.group_of_ + 64), vsubq_u8(bytes, vdupq_n_u8(64))));
  }
  Neon(const SplitWindows& windows, const uint8_t* at) {
    const uint8x16_t a = vld1q_u8(at - 1), b = vld1q_u8(at), c = vld1q_u8(at + 1);
    foreign = vcgeq_u8(vorrq_u8(vorrq_u8(a, b), c), vdupq_n_u8(0x80));
    bit = vshlq_u8(vdupq_n_u8(1), vreinterpretq_s8_u8(group(windows, c)));
    pair = vorrq_u8(vshlq_n_u8(group(windows, a), 3), group(windows, b));
  }
  static uint64_t bits_of(uint8x16_t places) {
    const uint8x16_t bits =
        vandq_u8(places, vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201)));
    return uint64_t(vaddv_u8(vget_low_u8(bits))) | uint64_t(vaddv_u8(vget_high_u8(bits))) << 8;
  }
  uint64_t look_up(const uint8_t* verdicts) const {
    return bits_of(vorrq_u8(vtstq_u8(vqtbl4q_u8(table(verdicts), pair), bit), foreign));
  }
  static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    Verdicts found{};
    for (unsigned i = 0; i < 64; i += 16) {
      const Neon some(windows, at + i);
      found.cut |= some.look_up(windows.cut_) << i;
      found.single |= some.look_up(windows.single_) << i;
      found.undecided |= some.look_up(windows.undecided_) << i;
      found.foreign |= bits_of(some.foreign) << i;
    }
    return found;
  }
};

#endif

SplitWindows::LookUp64 SplitWindows::choose() {
  switch (instructions()) {
#if defined(__x86_64__)
    case Instructions::kAvx512: return Avx512::look_up_64;
    case Instructions::kAvx2: return Avx2::look_up_64;
#elif defined(__aarch64__)
    case Instructions::kNeon: return Neon::look_up_64;
#endif
    default: return Plain::look_up_64;
  }
}

}  // namespace tokenmill
