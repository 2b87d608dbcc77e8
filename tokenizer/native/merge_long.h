// Byte-pair merging of a word of any length, in n log n.
//
// What each adjacent pair merges into stands in the leaves of a tree, 16 children to a node, and a
// node holds the smallest of its children:
//
//                                  12
//                       /                      \                                    .
//               12                                40
//     [ 31 77 -- 12 .. ]                [ -- 40 52 -- .. ]        -- nothing, or no symbol here
//
// The smallest is merged wherever it occurs, left to right, in one pass through the tree. (Where
// ranks are in order that is all there is; should a merge give rise to a smaller one, the pass
// ends and starts again at the top.) A long run of one letter takes a few passes in all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

// One thread's scratch memory.
class LongMerger {
 public:
  explicit LongMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}
  // Writes the tokens of a non-empty word, which may be as many as its bytes; returns how many.
  size_t merge(const uint8_t* bytes, size_t count, TokenId* tokens);

 private:
  void grow_tree(const uint8_t* bytes);
  // Makes all merges that give lowest_ below a node, left to right.
  void sweep(size_t level, size_t node);
  void merge_at(size_t at);
  // What the symbols at `left` and `right` merge into goes to the leaf of `left`.
  void set_pair(size_t left, size_t right);
  void set(size_t at, TokenId id);
  size_t next(size_t at) const;  // the symbol after, or count_
  size_t previous(size_t at) const;

  const Vocabulary& vocabulary_;
  static constexpr size_t kNoBlock = ~size_t{0};
  size_t count_ = 0, top_ = 0;  // bytes, and the level of the root
  size_t block_ = kNoBlock;     // of leaves, the one under way: nodes above it are set when it is done
  TokenId lowest_ = 0;
  bool is_lower_ = false;       // whether a merge gave rise to a lower one
  TokenId* ids_ = nullptr;
  std::vector<uint64_t> starts_;              // a bit for each place where a symbol starts
  std::vector<std::vector<TokenId>> levels_;  // levels_[0]: the leaves
};

}  // namespace tokenmill
