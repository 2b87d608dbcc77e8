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
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2")
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
#pragma GCC pop_options
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
void split_stages(const std::vector<SplitStage>& stages, Lane& a, Lane& b) {
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
      if (!removed) {
        lane.block.begin[lane.block.count] = lane.at;
        lane.block.bytes[lane.block.count++] = uint32_t(found.end - lane.at);
      }
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
