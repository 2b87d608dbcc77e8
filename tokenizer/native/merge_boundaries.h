// Places in a long pretoken that no merge crosses, so that it can be cut into words there.
//
//   ... x y | z w ...      no token holds y z: none is "yz", none has xyz or yzw in it.
//
// What a merge makes is a token, so none can ever cross such a place, and both sides merge as if they
// stood alone. "的时候" is a token of o200k_base, "候，" is in none: "的时候，我们" is cut before the comma. A
// paragraph of Chinese, one pretoken to the split, becomes words this way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

class MergeBoundaries {
 public:
  explicit MergeBoundaries(const Vocabulary& vocabulary);
  // Whether a pretoken can be cut before at[0]; at[-2] to at[1] are bytes of it.
  bool is_boundary(const uint8_t* at) const {
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
  std::vector<uint64_t> trigrams_;  // hashed: a bit that is set for another one costs a boundary
};

}  // namespace tokenmill
