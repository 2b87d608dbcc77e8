// Byte-pair merging of pretokens: of each the tokens that the vocabulary gives it.
//
//   a pretoken ─► is it a token that merging does not reach?          Vocabulary::irregular
//              ─► above 32 bytes: cut it into words where no merge crosses              merge_boundaries.h
//              ─► words of few runs, by their counts                 merge_runs.h
//              ─► short words, many at a time                        merge_short.h
//              ─► long ones, by a tree                                merge_long.h
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "merge_long.h"
#include "merge_runs.h"
#include "merge_short.h"
#include "merge_boundaries.h"
#include "vocabulary.h"

namespace tokenmill {

// Four more ids can be read after the last.
struct TokenSpan {
  const TokenId* ids;
  size_t count;
};

// One thread's scratch memory.
class Merger {
 public:
  Merger(const Vocabulary& vocabulary, const MergeBoundaries& boundaries)
      : vocabulary_(vocabulary), boundaries_(boundaries), runs_(vocabulary), long_(vocabulary) {}

  // The external ids of each non-empty pretoken, in `tokens`. What they point to is valid until the
  // next call.
  void merge(const std::string_view* pretokens, size_t count, TokenSpan* tokens);

 private:
  // Appends the words of a pretoken to words_ and merges the long ones.
  void add_words(std::string_view pretoken, TokenId* tokens);
  void add_word(const uint8_t* begin, size_t bytes, TokenId* tokens);

  const Vocabulary& vocabulary_;
  const MergeBoundaries& boundaries_;
  RunMerger runs_;
  LongMerger long_;
  std::vector<TokenId> tokens_;
  std::vector<Word> words_;
};

}  // namespace tokenmill
