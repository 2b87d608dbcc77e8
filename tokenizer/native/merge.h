// Byte-pair merging of one pretoken: merge the adjacent pair of the lowest rank, leftmost first,
// until no adjacent pair merges.
//
// Two ways, the same result:
//   short   keep the rank of every adjacent pair in an array and scan it for the minimum.
//           Quadratic, but a scan of 32 ranks is a few vector instructions.
//   long    a heap of (rank, position) over a linked list: n log n, so that 1 MB of one letter
//           costs per byte what a word costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

struct TokenSpan {
  const TokenId* ids;
  size_t count;
};

// One thread's scratch memory for merging.
class Merger {
 public:
  explicit Merger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  // The tokens of a non-empty pretoken by its merges alone; valid until the next call.
  TokenSpan merge(std::string_view pretoken) {
    return pretoken.size() <= kShortBytes ? merge_short(pretoken) : merge_long(pretoken);
  }

  // As merge(), but an irregular token that is the whole pretoken comes first.
  TokenSpan encode(std::string_view pretoken) {
    const TokenId whole = vocabulary_.irregular(pretoken);
    if (whole == kNoToken) return merge(pretoken);
    short_ids_[0] = whole;
    return {short_ids_, 1};
  }

 private:
  static constexpr size_t kShortBytes = 32;
  TokenSpan merge_short(std::string_view pretoken);
  TokenSpan merge_long(std::string_view pretoken);

  const Vocabulary& vocabulary_;
  TokenId short_ids_[kShortBytes];
  struct Symbol {
    TokenId id;       // the token that stands here; kNoToken once merged into its left neighbour
    TokenId merged;   // what it and its right neighbour merge into, or kNoToken
    uint32_t left, right;
  };
  std::vector<Symbol> symbols_;
  std::vector<uint64_t> heap_;  // merged << 32 | position, smallest on top
  std::vector<TokenId> long_ids_;
};

}  // namespace tokenmill
