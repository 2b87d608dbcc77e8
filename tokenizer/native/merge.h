// Byte-pair merging of pretokens: of each the tokens that the vocabulary gives it.
//
//   a pretoken ─► is it a token that merging does not reach?          Vocabulary::irregular
//              ─► no word by its length: cut it at seams              seams.h
//              ─► pieces of few runs, by their counts                 merge_runs.h
//              ─► short pieces, many at a time                        merge_short.h
//              ─► long ones, by a tree                                merge_long.h
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "merge_long.h"
#include "merge_runs.h"
#include "merge_short.h"
#include "seams.h"
#include "vocabulary.h"

namespace tokenmill {

// Four more ids can be read behind the last.
struct TokenSpan {
  const TokenId* ids;
  size_t count;
};

// One thread's scratch memory.
class Merger {
 public:
  Merger(const Vocabulary& vocabulary, const Seams& seams)
      : vocabulary_(vocabulary), seams_(seams), runs_(vocabulary), long_(vocabulary) {}

  // The published ids of each non-empty pretoken, in `tokens`. What they point to is valid until the
  // next call.
  void merge(const std::string_view* pretokens, size_t count, TokenSpan* tokens);

 private:
  // Appends the pieces of a pretoken to pieces_ and merges the long ones.
  void cut(std::string_view pretoken, TokenId* tokens);
  void add_piece(const uint8_t* begin, size_t bytes, TokenId* tokens);

  const Vocabulary& vocabulary_;
  const Seams& seams_;
  RunMerger runs_;
  LongMerger long_;
  std::vector<TokenId> tokens_;
  std::vector<Piece> pieces_;
};

}  // namespace tokenmill
