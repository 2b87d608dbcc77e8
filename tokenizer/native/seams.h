// Places where a long piece can be cut without changing its tokens.
//
//   ... x y | z w ...      no token holds y z: none is "yz", none has xyz or yzw in it.
//
// Then no merge can ever cross the place, for what a merge makes is a token; so both sides merge as
// if they stood alone. A paragraph of Chinese, one piece to the split, becomes words this way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

class Seams {
 public:
  explicit Seams(const Vocabulary& vocabulary);
  // Whether a piece can be cut before at[0]; at[-2] to at[1] are bytes of the piece.
  bool is_seam(const uint8_t* at) const {
    return !holds(at[-2], at[-1], at[0]) && !holds(at[-1], at[0], at[1]) &&
           vocabulary_.merge_bytes(at[-1], at[0]) == kNoToken;
  }

 private:
  static constexpr unsigned kBits = 20;
  static size_t slot(uint8_t a, uint8_t b, uint8_t c) {
    return (uint32_t(a) << 16 | uint32_t(b) << 8 | c) * 0x9E3779B1u >> (32 - kBits);
  }
  bool holds(uint8_t a, uint8_t b, uint8_t c) const {
    return trigrams_[slot(a, b, c) / 64] >> slot(a, b, c) % 64 & 1;
  }

  const Vocabulary& vocabulary_;
  std::vector<uint64_t> trigrams_;  // hashed: a bit that is set for another one costs a seam
};

}  // namespace tokenmill
