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
    group_of_[byte] = group_of[byte];
    for (unsigned k = 0; k < 4; ++k)
      group_bits_[k][byte & 15] |= uint8_t((group_of[byte] >> k & 1) << (byte >> 4));
  }
  for (size_t window = 0; window < 512; ++window) {
    const auto bit = uint8_t(1u << (window & 7));
    if (verdicts[window] & kCut) cut_[window >> 3] |= bit;
    if (verdicts[window] & kSingle) single_[window >> 3] |= bit;
    if (verdicts[window] & kUndecided) undecided_[window >> 3] |= bit;
    if (verdicts[window] & kMajority) majority_[window >> 3] |= bit;
    if (!(verdicts[window] & kRun)) continue;
    const size_t pair = window >> 3;
    uint8_t after = 0;
    for (size_t c = 0; c < 8; ++c)
      if ((verdicts[pair << 3 | c] & (kCut | kSingle | kUndecided)) == (kCut | kSingle))
        after |= uint8_t(1u << c);
    if (in_run_ && after != after_run_)
      throw std::invalid_argument("split windows: runs that end differently");
    run_[pair] = 0xFF;
    in_run_ |= uint8_t(1u << (pair & 7));
    after_run_ = after;
  }
}

struct SplitWindows::Plain {
  static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    Verdicts found{};
    for (size_t i = 0; i < 64; ++i, ++at) {
      const uint64_t foreign = (at[-1] | at[0] | at[1]) >> 7;
      const auto group = [&](uint8_t byte) { return windows.group_of_[byte & 127] & 7u; };
      const size_t pair = group(at[-1]) << 3 | group(at[0]);
      const auto verdict = [&](uint8_t of) { return uint64_t{of} >> group(at[1]) & 1; };
      found.cut |= (verdict(windows.cut_[pair]) | foreign) << i;
      found.single |= (verdict(windows.single_[pair]) | foreign) << i;
      found.undecided |= (verdict(windows.undecided_[pair]) | foreign) << i;
      found.foreign |= foreign << i;
      const bool is_minority = windows.group_of_[at[0] & 127] & kMinority;
      found.majority |= (verdict(windows.majority_[pair]) & !is_minority) << i;
      found.run |= verdict(windows.run_[pair]) << i;
      found.in_run |= verdict(windows.in_run_) << i;
      found.after_run |= verdict(windows.after_run_) << i;
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
  uint32_t foreign, minority;

  TOKENMILL_AVX2 static __m256i load(const uint8_t* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
  }
  TOKENMILL_AVX2 static __m256i table(const uint8_t* at) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(at)));
  }
  TOKENMILL_AVX2 static __m256i bit_of(__m256i number) {
    return _mm256_shuffle_epi8(_mm256_set1_epi64x(int64_t(0x8040201008040201)), number);
  }
  TOKENMILL_AVX2 static __m256i are_set(__m256i bits, __m256i all) {
    return _mm256_cmpeq_epi8(_mm256_and_si256(bits, all), all);
  }
  TOKENMILL_AVX2 static uint32_t mask(__m256i places) {
    return uint32_t(_mm256_movemask_epi8(places));
  }
  TOKENMILL_AVX2 static __m256i row_of(__m256i bytes) {
    return bit_of(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(7)));
  }
  // A shuffle gives 0 for what is above 127; such places are foreign.
  TOKENMILL_AVX2 static __m256i group(const SplitWindows& windows, __m256i bytes) {
    const __m256i row = row_of(bytes);
    __m256i groups = _mm256_setzero_si256();
    for (unsigned k = 0; k < 3; ++k) {
      const __m256i rows = _mm256_shuffle_epi8(table(windows.group_bits_[k]), bytes);
      const __m256i is_set = are_set(rows, row);
      groups = _mm256_or_si256(groups, _mm256_and_si256(is_set, _mm256_set1_epi8(char(1 << k))));
    }
    return groups;
  }
  TOKENMILL_AVX2 Avx2(const SplitWindows& windows, const uint8_t* at) {
    const __m256i a = load(at - 1), b = load(at), c = load(at + 1);
    foreign = mask(_mm256_or_si256(_mm256_or_si256(a, b), c));
    minority = mask(are_set(_mm256_shuffle_epi8(table(windows.group_bits_[3]), b), row_of(b)));
    bit = bit_of(group(windows, c));
    const __m256i pair =
        _mm256_or_si256(_mm256_slli_epi16(group(windows, a), 3), group(windows, b));
    for (int k = 0; k < 4; ++k)
      index[k] = _mm256_adds_epu8(_mm256_xor_si256(pair, _mm256_set1_epi8(char(k << 4))),
                                  _mm256_set1_epi8(0x70));
  }
  TOKENMILL_AVX2 uint32_t look_up(const uint8_t* verdicts) const {
    __m256i bits = _mm256_setzero_si256();
    for (int k = 0; k < 4; ++k)
      bits = _mm256_or_si256(bits, _mm256_shuffle_epi8(table(verdicts + 16 * k), index[k]));
    return mask(are_set(bits, bit));
  }
  TOKENMILL_AVX2 uint32_t follows(uint8_t groups) const {
    return mask(are_set(_mm256_set1_epi8(char(groups)), bit));
  }
  TOKENMILL_AVX2 static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    const Avx2 low(windows, at), high(windows, at + 32);
    const auto both = [](uint32_t of_low, uint32_t of_high) {
      return of_low | uint64_t{of_high} << 32;
    };
    const auto look_up = [&](const uint8_t* verdicts) TOKENMILL_AVX2 {
      return both(low.look_up(verdicts), high.look_up(verdicts));
    };
    const uint64_t foreign = both(low.foreign, high.foreign);
    return {look_up(windows.cut_) | foreign,
            look_up(windows.single_) | foreign,
            look_up(windows.undecided_) | foreign,
            0,
            foreign,
            look_up(windows.majority_) & ~both(low.minority, high.minority),
            look_up(windows.run_),
            both(low.follows(windows.in_run_), high.follows(windows.in_run_)),
            both(low.follows(windows.after_run_), high.follows(windows.after_run_))};
  }
};

#define TOKENMILL_AVX512 __attribute__((target("avx512f,avx512bw,avx512vbmi")))

struct SplitWindows::Avx512 {  // 64 places
  __m512i pair, bit;
  uint64_t foreign, minority;

  TOKENMILL_AVX512 static __m512i group(const SplitWindows& windows, __m512i bytes) {
    return _mm512_permutex2var_epi8(_mm512_load_si512(windows.group_of_), bytes,
                                    _mm512_load_si512(windows.group_of_ + 64));
  }
  TOKENMILL_AVX512 Avx512(const SplitWindows& windows, const uint8_t* at) {
    const __m512i a = _mm512_loadu_si512(at - 1), b = _mm512_loadu_si512(at);
    const __m512i c = _mm512_loadu_si512(at + 1);
    const __m512i group_of_b = group(windows, b);
    foreign = _mm512_movepi8_mask(_mm512_or_si512(_mm512_or_si512(a, b), c));
    minority = _mm512_test_epi8_mask(group_of_b, _mm512_set1_epi8(kMinority));
    // Neither looks at kMinority: there are two eights of bits, and of a pair six bits count.
    bit = _mm512_shuffle_epi8(_mm512_set1_epi64(int64_t(0x8040201008040201)), group(windows, c));
    pair = _mm512_or_si512(_mm512_slli_epi16(group(windows, a), 3),
                           _mm512_and_si512(group_of_b, _mm512_set1_epi8(7)));
  }
  TOKENMILL_AVX512 uint64_t look_up(const uint8_t* verdicts) const {
    const __m512i bits = _mm512_maskz_permutexvar_epi8(~uint64_t{0}, pair, _mm512_load_si512(verdicts));
    return _mm512_test_epi8_mask(bits, bit);
  }
  TOKENMILL_AVX512 uint64_t follows(uint8_t groups) const {
    return _mm512_test_epi8_mask(_mm512_set1_epi8(char(groups)), bit);
  }
  TOKENMILL_AVX512 static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    const Avx512 all(windows, at);
    return {all.look_up(windows.cut_) | all.foreign,
            all.look_up(windows.single_) | all.foreign,
            all.look_up(windows.undecided_) | all.foreign,
            0,
            all.foreign,
            all.look_up(windows.majority_) & ~all.minority,
            all.look_up(windows.run_),
            all.follows(windows.in_run_),
            all.follows(windows.after_run_)};
  }
};

#elif defined(__aarch64__)

struct SplitWindows::Neon {  // 16 places
  uint8x16_t pair, bit, foreign, minority;

  static uint8x16x4_t table(const uint8_t* at) { return vld1q_u8_x4(at); }
  // A look-up gives 0 for what is above 63.
  static uint8x16_t group(const SplitWindows& windows, uint8x16_t bytes) {
    return vorrq_u8(vqtbl4q_u8(table(windows.group_of_), bytes),
                    vqtbl4q_u8(table(windows.group_of_ + 64), vsubq_u8(bytes, vdupq_n_u8(64))));
  }
  Neon(const SplitWindows& windows, const uint8_t* at) {
    const uint8x16_t a = vld1q_u8(at - 1), b = vld1q_u8(at), c = vld1q_u8(at + 1);
    const uint8x16_t group_of_b = group(windows, b), seven = vdupq_n_u8(7);
    foreign = vcgeq_u8(vorrq_u8(vorrq_u8(a, b), c), vdupq_n_u8(0x80));
    minority = vtstq_u8(group_of_b, vdupq_n_u8(kMinority));
    bit = vshlq_u8(vdupq_n_u8(1), vreinterpretq_s8_u8(vandq_u8(group(windows, c), seven)));
    pair = vorrq_u8(vshlq_n_u8(vandq_u8(group(windows, a), seven), 3), vandq_u8(group_of_b, seven));
  }
  static uint64_t bits_of(uint8x16_t places) {
    const uint8x16_t bits =
        vandq_u8(places, vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201)));
    return uint64_t(vaddv_u8(vget_low_u8(bits))) | uint64_t(vaddv_u8(vget_high_u8(bits))) << 8;
  }
  uint8x16_t look_up(const uint8_t* verdicts) const {
    return vtstq_u8(vqtbl4q_u8(table(verdicts), pair), bit);
  }
  uint64_t look_up_or_foreign(const uint8_t* verdicts) const {
    return bits_of(vorrq_u8(look_up(verdicts), foreign));
  }
  uint64_t follows(uint8_t groups) const { return bits_of(vtstq_u8(vdupq_n_u8(groups), bit)); }
  static Verdicts look_up_64(const SplitWindows& windows, const uint8_t* at) {
    Verdicts found{};
    for (unsigned i = 0; i < 64; i += 16) {
      const Neon some(windows, at + i);
      found.cut |= some.look_up_or_foreign(windows.cut_) << i;
      found.single |= some.look_up_or_foreign(windows.single_) << i;
      found.undecided |= some.look_up_or_foreign(windows.undecided_) << i;
      found.foreign |= bits_of(some.foreign) << i;
      found.majority |= bits_of(vbicq_u8(some.look_up(windows.majority_), some.minority)) << i;
      found.run |= bits_of(some.look_up(windows.run_)) << i;
      found.in_run |= some.follows(windows.in_run_) << i;
      found.after_run |= some.follows(windows.after_run_) << i;
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
