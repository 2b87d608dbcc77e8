#include "merge_short.h"

#include <algorithm>

namespace tokenmill {

// Compiled twice where the compiler and the C library can choose at run time: the smallest of
// eight numbers at once needs more than the baseline of x86-64 has.
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__)
#define TOKENMILL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TOKENMILL_CLONES
#endif

namespace {

constexpr uint32_t kNone = kNoToken << 5;  // and whatever is larger
constexpr size_t kUnderWay = 12;

// A symbol keeps the place of its first byte. `order[i]` says what the symbol at i and the one
// behind it merge into, and where: rank << 5 | i, so that the smallest is the next merge, the
// leftmost of equals. Nothing moves when two symbols become one.
struct UnderWay {
  alignas(32) uint32_t order[kMaxShortPiece];
  TokenId ids[kMaxShortPiece];
  uint8_t left[kMaxShortPiece + 1], right[kMaxShortPiece + 1];
  uint32_t bytes, width;
  uint32_t at;  // the last merge, whose pairs are still to be looked up; `bytes` at first
  Piece* piece;

  void start(const Vocabulary& vocabulary, Piece& of) {
    piece = &of;
    at = bytes = of.bytes;
    width = (bytes + 7) & ~7u;
    for (uint32_t i = 0; i < bytes; ++i) {
      ids[i] = vocabulary.byte_token(of.begin[i]);
      left[i] = uint8_t(i - 1);
      right[i] = uint8_t(i + 1);
    }
    for (uint32_t i = 0; i + 1 < bytes; ++i)
      order[i] = vocabulary.merge_bytes(of.begin[i], of.begin[i + 1]) << 5 | i;
    for (uint32_t i = bytes - 1; i < width; ++i) order[i] = kNone;
  }

  // Looks up the pairs of the last merge and makes the next one; false when there is none.
  bool step(const Vocabulary& vocabulary) {
    if (at < bytes) {
      const uint32_t behind = right[at];
      order[at] = behind < bytes ? vocabulary.merge(ids[at], ids[behind]) << 5 | at : kNone;
      if (at > 0) order[left[at]] = vocabulary.merge(ids[left[at]], ids[at]) << 5 | left[at];
    }
    uint32_t next = kNone;
    for (uint32_t i = 0; i < width; i += 8)
      for (uint32_t j = 0; j < 8; ++j) next = std::min(next, order[i + j]);
    if (next >= kNone) return false;
    at = next & 31;
    const uint32_t gone = right[at], behind = right[gone];
    ids[at] = next >> 5;
    order[gone] = kNone;
    right[at] = uint8_t(behind);
    left[behind] = uint8_t(at);
    if (behind < bytes) vocabulary.prefetch_merge(ids[at], ids[behind]);
    if (at > 0) vocabulary.prefetch_merge(ids[left[at]], ids[at]);
    return true;
  }

  void finish() {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bytes; i = right[i]) piece->tokens[count++] = ids[i];
    piece->count = count;
  }
};

}  // namespace

TOKENMILL_CLONES
void merge_short(const Vocabulary& vocabulary, Piece* pieces, size_t count) {
  UnderWay under_way[kUnderWay];
  Piece* const end = pieces + count;
  const auto start_next = [&](UnderWay& place) {
    while (pieces < end && pieces->count) ++pieces;
    if (pieces == end) return false;
    place.start(vocabulary, *pieces++);
    return true;
  };
  size_t active = 0;
  while (active < kUnderWay && start_next(under_way[active])) ++active;
  while (active > 0)
    for (size_t i = 0; i < active; ++i)
      if (!under_way[i].step(vocabulary)) {
        under_way[i].finish();
        if (!start_next(under_way[i])) under_way[i--] = under_way[--active];
      }
}

}  // namespace tokenmill
