// Byte-pair merging of many short words at a time.
//
// Each merge needs two look-ups of pairs, and the next merge waits for them: a word by itself
// keeps the processor idle nearly all the time. So several words are under way, a merge of each in
// a round, and what it looks up is prefetched a round before it is needed.
//
//   round   all words: look up what the last merge gave   all words: choose, prefetch
#pragma once

#include <cstddef>
#include <cstdint>

#include "vocabulary.h"

namespace tokenmill {

// Bytes to merge, and where their tokens go: room for one a byte.
struct Word {
  const uint8_t* begin;
  uint32_t bytes;
  uint32_t count;  // of tokens; 0: not merged yet
  TokenId* tokens;
};

constexpr size_t kMaxShortWord = 255;  // a place in a word takes 8 bits

// Merges each word that is not merged yet, 1 to kMaxShortWord bytes long: the adjacent pair of
// lowest rank first, the leftmost of equals, until no adjacent pair merges.
void merge_short(const Vocabulary& vocabulary, Word* words, size_t count);

}  // namespace tokenmill
