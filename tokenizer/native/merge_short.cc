#include "merge_short.h"

#include <algorithm>

namespace tokenmill {

// Compiled twice where the compiler and the C library can choose at run time: the smallest of
// eight numbers at once needs more than the baseline of x86-64 has.
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && !defined(__clang__)
#define TOKENMILL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TOKENMILL_CLONES
#endif

namespace {

constexpr uint32_t kNone = kNoToken << 5;  // and whatever is larger
constexpr uint32_t kNowhere = kMaxShortPiece;  // before the first symbol
constexpr size_t kUnderWay = 12;

using Eight = uint32_t __attribute__((vector_size(32)));
static inline void lower(Eight& least, const Eight& other) {
  least = least < other ? least : other;
}

static inline uint32_t smallest(const uint32_t (&order)[kMaxShortPiece + 8]) {
  const auto* const eights = reinterpret_cast<const Eight*>(order);
  Eight least = eights[0];
  for (size_t i = 1; i < kMaxShortPiece / 8; ++i) lower(least, eights[i]);
  lower(least, Eight{least[4], least[5], least[6], least[7]});
  return std::min(std::min(least[0], least[1]), std::min(least[2], least[3]));
}

// A symbol keeps the place of its first byte. `order[i]` says what the symbol at i and the one
// behind it merge into, and where: rank << 5 | i, so that the smallest is the next merge, the
// leftmost of equals. Nothing moves when two symbols become one. The places before the first symbol
// and behind the last hold kNoToken, which merges with nothing: no step asks where it is.
struct UnderWay {
  alignas(32) uint32_t order[kMaxShortPiece + 8];
  TokenId ids[kMaxShortPiece + 1];
  uint8_t left[kMaxShortPiece + 1], right[kMaxShortPiece + 1];
  uint32_t at;
  Piece* piece;

  void start(const Vocabulary& vocabulary, Piece& of) {
    piece = &of;
    std::fill_n(order, kMaxShortPiece, kNone);
    for (uint32_t i = 0; i < of.bytes; ++i) {
      ids[i] = vocabulary.byte_token(of.begin[i]);
      left[i] = uint8_t(i - 1);
      right[i] = uint8_t(i + 1);
    }
    for (uint32_t i = 0; i + 1 < of.bytes; ++i)
      order[i] = vocabulary.merge_bytes(of.begin[i], of.begin[i + 1]) << 5 | i;
    ids[of.bytes] = ids[kNowhere] = kNoToken;
    left[0] = kNowhere;
  }

  // Makes the next merge and prefetches the pairs it gives; false when there is none.
  bool merge(const Vocabulary& vocabulary) {
    const uint32_t next = smallest(order);
    if (next >= kNone) return false;
    at = next & 31;
    const uint32_t gone = right[at], behind = right[gone], before = left[at];
    ids[at] = next >> 5;
    order[gone] = kNone;
    right[at] = uint8_t(behind);
    left[behind] = uint8_t(at);
    vocabulary.prefetch_merge(ids[at], ids[behind]);
    vocabulary.prefetch_merge(ids[before], ids[at]);
    return true;
  }

  // Looks up the pairs of the last merge.
  void look_up(const Vocabulary& vocabulary) {
    const uint32_t behind = right[at], before = left[at];
    order[at] = vocabulary.merge(ids[at], ids[behind]) << 5 | at;
    order[before] = vocabulary.merge(ids[before], ids[at]) << 5 | before;
  }

  void finish() {
    uint32_t count = 0;
    for (uint32_t i = 0; i < piece->bytes; i = right[i]) piece->tokens[count++] = ids[i];
    piece->count = count;
  }
};

}  // namespace

TOKENMILL_CLONES
void merge_short(const Vocabulary& vocabulary, Piece* pieces, size_t count) {
  UnderWay under_way[kUnderWay];
  UnderWay* active[kUnderWay];
  Piece* const end = pieces + count;
  // Takes the next piece that has something to merge; false when there is none.
  const auto start_next = [&](UnderWay& place) {
    for (; pieces < end; ++pieces) {
      if (pieces->count) continue;
      place.start(vocabulary, *pieces);
      if (place.merge(vocabulary)) return ++pieces, true;
      place.finish();
    }
    return false;
  };
  size_t left = 0;
  for (; left < kUnderWay && start_next(under_way[left]); ++left) active[left] = &under_way[left];
  while (left > 0)
    for (size_t i = 0; i < left; ++i) {
      active[i]->look_up(vocabulary);
      if (active[i]->merge(vocabulary)) continue;
      active[i]->finish();
      if (!start_next(*active[i])) active[i--] = active[--left];
    }
}

}  // namespace tokenmill
