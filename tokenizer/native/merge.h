// Byte-pair merging of one pretoken: merge the adjacent pair of the lowest rank, leftmost first,
// until no adjacent pair merges.
//
//   up to 24 bytes   PairMerger: keep what every adjacent pair merges into in an array and scan it
//                    for the minimum. Quadratic, but a scan is a few vector instructions.
//   more             LongestMatchEncoder: the same result, found another way, in linear time
//                    (longest_match.h). It needs a vocabulary with ranks in order, as training
//                    gives them; all published ones are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "longest_match.h"
#include "vocabulary.h"

namespace tokenmill {

// Merges by scanning. One thread's scratch memory.
class PairMerger {
 public:
  static constexpr size_t kMaxBytes = 24;  // above this, LongestMatchEncoder is faster
  explicit PairMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary), ids_(kShortBytes) {}
  // The tokens of a non-empty pretoken by its merges; valid until the next call.
  TokenSpan merge(std::string_view pretoken) {
    return pretoken.size() <= kShortBytes ? merge_short(pretoken) : merge_long(pretoken);
  }

 private:
  static constexpr size_t kShortBytes = 32;  // a place fits into 5 bits
  TokenSpan merge_short(std::string_view pretoken);
  // Quadratic and plain: for the few long tokens of a vocabulary while it is loaded, and for
  // vocabularies that LongestMatchEncoder can not take.
  TokenSpan merge_long(std::string_view pretoken);

  const Vocabulary& vocabulary_;
  std::vector<TokenId> ids_;
};

class Merger {
 public:
  Merger(const Vocabulary& vocabulary, const TokenTrie& trie)
      : vocabulary_(vocabulary), pairs_(vocabulary), longest_(vocabulary, trie) {}

  // The published ids of a non-empty pretoken; an irregular token that is the whole of it comes
  // first. Valid until the next call.
  TokenSpan encode(std::string_view pretoken) {
    return vocabulary_.published(merge(pretoken), published_);
  }

 private:
  TokenSpan merge(std::string_view pretoken) {
    if ((whole_ = vocabulary_.irregular(pretoken)) != kNoToken) return {&whole_, 1};
    if (pretoken.size() <= PairMerger::kMaxBytes || !vocabulary_.ranks_are_ordered())
      return pairs_.merge(pretoken);
    longest_.encode(pretoken, ids_);
    return {ids_.data(), ids_.size()};
  }

  const Vocabulary& vocabulary_;
  PairMerger pairs_;
  LongestMatchEncoder longest_;
  TokenId whole_ = kNoToken;
  std::vector<TokenId> ids_, published_;
};

}  // namespace tokenmill
