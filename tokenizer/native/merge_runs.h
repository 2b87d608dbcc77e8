// Byte-pair merging of a word that is mostly runs of one symbol, such as the rule of a table:
//
//   |----------------|      | ×1   -    ×16   | ×1
//                           | ×1   --   ×8    | ×1      all merges of (-, -)
//                           | ×1   ---- ×4    | ×1      all of (--, --), and so on
//
// A step makes all merges of the lowest rank, so a run takes as many steps as its count has digits.
// Only where merges are made in the order of their ids: else one of them may give rise to a lower
// one, which comes before the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

// One thread's scratch memory.
class RunMerger {
 public:
  explicit RunMerger(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}
  // Writes the tokens of a word, which may be as many as its bytes; returns how many, or 0 when it
  // is not for this one.
  size_t merge(const uint8_t* bytes, size_t count, TokenId* tokens);

 private:
  struct Run {
    TokenId id;
    uint32_t count;
  };
  // Adds a run to the end of `runs`, of which it may go on with the last.
  static void add(std::vector<Run>& runs, TokenId id, uint32_t count);

  const Vocabulary& vocabulary_;
  std::vector<Run> runs_, merged_;
};

}  // namespace tokenmill
