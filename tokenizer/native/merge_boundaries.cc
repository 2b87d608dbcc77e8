#include "merge_boundaries.h"

namespace tokenmill {

MergeBoundaries::MergeBoundaries(const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), trigrams_((size_t{1} << kBits) / 64) {
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const std::string_view token = vocabulary.bytes_of(id);
    for (size_t i = 0; i + 2 < token.size(); ++i) {
      const size_t bit = slot(uint8_t(token[i]), uint8_t(token[i + 1]), uint8_t(token[i + 2]));
      trigrams_[bit / 64] |= uint64_t{1} << bit % 64;
    }
  }
}

}  // namespace tokenmill
