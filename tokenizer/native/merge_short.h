// Byte-pair merging of many short pieces at a time.
//
// Each merge needs two look-ups of pairs, and the next merge waits for them: a piece by itself
// keeps the processor idle for most of the time. So several pieces are under way, a merge of each
// in turn, and what a merge looks up is prefetched a round before it is needed.
//
//   round 1   piece a: choose, prefetch   piece b: choose, prefetch   ...   piece h: ...
//   round 2   piece a: look up, choose, prefetch                      ...
#pragma once

#include <cstddef>
#include <cstdint>

#include "vocabulary.h"

namespace tokenmill {

// Bytes to merge, and where their tokens go: room for one a byte.
struct Piece {
  const uint8_t* begin;
  uint32_t bytes;
  uint32_t count;  // of tokens; 0: not merged yet
  TokenId* tokens;
};

constexpr size_t kMaxShortPiece = 255;  // a place in a piece takes 8 bits

// Merges each piece that is not merged yet, 1 to kMaxShortPiece bytes long: the adjacent pair of
// lowest rank first, the leftmost of equals, until no adjacent pair merges.
void merge_short(const Vocabulary& vocabulary, Piece* pieces, size_t count);

}  // namespace tokenmill
