#include "split.h"

#include "cpu.h"
#include "utf8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace tokenmill {

// The hot loop is one piece of code for each number of lanes; left to itself the compiler calls.
#define TOKENMILL_INLINE static inline __attribute__((always_inline))

namespace {

// How many of the 16 bytes at a place are in a loop, and whether the next one ends the pretoken.
struct RunEnd {
  size_t length;
  bool ends;  // false when the length is 16
};

}  // namespace

namespace plain {

static RunEnd follow_run(const SplitTable::Run& run, const uint8_t* at) {
  const auto has = [](const uint8_t* set, uint8_t byte) {
    return byte < 0x80 && (set[byte & 15] >> (byte >> 4) & 1);
  };
  size_t length = 0;
  while (length < 16 && has(run.loop, at[length])) ++length;
  return {length, length < 16 && has(run.ends, at[length])};
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

// Both sets at once, one in each half of a register.
static inline RunEnd follow_run(const SplitTable::Run& run, const uint8_t* at) {
  const __m256i bytes =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
  const __m256i bit_of = _mm256_set1_epi64x(int64_t(0x8040201008040201));
  const __m256i high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
  // A shuffle gives 0 where the index has its top bit set, so bytes above 127 are in no set.
  const __m256i rows =
      _mm256_shuffle_epi8(_mm256_load_si256(reinterpret_cast<const __m256i*>(&run)), bytes);
  const __m256i bits = _mm256_and_si256(rows, _mm256_shuffle_epi8(bit_of, high));
  const auto outside =
      unsigned(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bits, _mm256_setzero_si256())));
  const auto length = size_t(__builtin_ctz(outside | 0x10000u));
  return {length, !((outside >> 16 | 0x10000u) >> length & 1)};
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

static inline RunEnd follow_run(const SplitTable::Run& run, const uint8_t* at) {
  const uint8x16_t bytes = vld1q_u8(at);
  const uint8x16_t bit_of = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
  const uint8x16_t bits = vqtbl1q_u8(bit_of, vshrq_n_u8(bytes, 4));
  // Four bits a byte; a shuffle gives 0 for an index above 15, so bytes above 127 are in no set.
  const auto inside = [&](const uint8_t* set) {
    const uint8x16_t index = vandq_u8(bytes, vdupq_n_u8(0x8F));
    const uint8x16_t found = vtstq_u8(vqtbl1q_u8(vld1q_u8(set), index), bits);
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(found), 4)), 0);
  };
  const uint64_t outside = ~inside(run.loop);
  if (!outside) return {16, false};
  const auto length = size_t(__builtin_ctzll(outside)) / 4;
  return {length, bool(inside(run.ends) >> 4 * length & 1)};
}

#include "split_kernel.h"

}  // namespace neon
#endif

SplitLanes choose_split() {
#if defined(__x86_64__)
  if (has_fast_instructions()) return avx2::split_lanes;
#elif defined(__aarch64__)
  if (has_fast_instructions()) return neon::split_lanes;
#endif
  return plain::split_lanes;
}

namespace {

// A match of a stage, or what lies between two.
struct Segment {
  const uint8_t* end;
  bool is_match;
};

template <bool kOnBytes>
Segment segment(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  if (const uint8_t* const stop = plain::walk<kOnBytes>(table, at, end, SplitTable::kStart))
    return {stop, true};
  return {plain::end_of_gap<kOnBytes>(table, at, end), false};
}

// The piece that begins at `at`, where another has ended: its segments joined as the behavior says.
Segment piece(const SplitStage& stage, const uint8_t* at, const uint8_t* end) {
  const auto next = [&stage, end](const uint8_t* from) {
    Segment found = stage.on_bytes ? segment<true>(stage.table, from, end)
                                   : segment<false>(stage.table, from, end);
    found.is_match ^= stage.invert;
    return found;
  };
  Segment whole = next(at);
  if (stage.behavior == SplitStage::kContiguous) {
    for (Segment more; whole.end < end && (more = next(whole.end)).is_match == whole.is_match;)
      whole.end = more.end;
  } else if (whole.end < end && ((stage.behavior == SplitStage::kMergedWithNext && whole.is_match) ||
                                 (stage.behavior == SplitStage::kMergedWithPrevious &&
                                  !whole.is_match))) {
    const Segment more = next(whole.end);
    if (more.is_match != whole.is_match) whole.end = more.end;
  }
  return whole;
}

// Pieces nest: the one a stage is cutting ends where or before that of the stage ahead of it does.
// So at any place the deepest stage whose piece goes on is the one to cut next, and each stage
// behind it then begins with a new piece.
void split_stages(const std::vector<SplitStage>& stages, const PretokenCache& cache, Lane& a,
                  Lane& b) {
  a.block.count = b.block.count = 0;
  Lane& lane = a.at < a.end ? a : b;
  const size_t last = stages.size() - 1;
  while (lane.block.count < kBlockPretokens && lane.at < lane.end) {
    lane.piece_end[0] = lane.end;
    size_t i = last;
    while (!lane.piece_end[i] || lane.piece_end[i] <= lane.at) --i;
    for (;; ++i) {
      const Segment found = piece(stages[i], lane.at, lane.piece_end[i]);
      const bool removed = found.is_match && stages[i].behavior == SplitStage::kRemoved;
      if (i < last && !removed) {
        lane.piece_end[i + 1] = found.end;
        continue;
      }
      if (!removed) plain::put(cache, lane.at, found.end, lane, lane.block.count++);
      lane.at = found.end;
      break;
    }
  }
}

}  // namespace

SplitLanes choose_split(const std::vector<SplitStage>& stages) {
  const SplitStage& first = stages[0];
  const bool plain_cut = first.behavior == SplitStage::kIsolated && !first.on_bytes;
  return stages.size() == 1 && plain_cut ? choose_split() : split_stages;
}

const char* split_name(SplitLanes split) {
#if defined(__x86_64__)
  if (split == avx2::split_lanes) return "avx2";
#elif defined(__aarch64__)
  if (split == neon::split_lanes) return "neon";
#endif
  return split == plain::split_lanes ? "plain" : "stages";
}

}  // namespace tokenmill
