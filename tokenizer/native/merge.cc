#include "merge.h"

#include <algorithm>

namespace tokenmill {

// Compiled twice where the compiler and the C library can choose at run time: the smallest of
// eight numbers at once needs more than the baseline of x86-64 has.
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && !defined(__clang__)
#define TOKENMILL_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TOKENMILL_CLONES
#endif

// A symbol keeps the place of its first byte. `order[i]` says what the symbol at i and the one
// behind it merge into, and where: rank << 5 | i, so that the smallest is the next merge, the
// leftmost of equals. Nothing moves when two symbols become one.
TOKENMILL_CLONES
TokenSpan PairMerger::merge_short(std::string_view pretoken) {
  constexpr uint32_t kNone = kNoToken << 5;  // and whatever is larger
  const auto* bytes = reinterpret_cast<const uint8_t*>(pretoken.data());
  const auto count = uint32_t(pretoken.size());
  alignas(32) uint32_t order[kShortBytes];
  uint8_t left[kShortBytes + 1], right[kShortBytes + 1];
  TokenId* const ids = ids_.data();
  const uint32_t width = (count + 7) & ~7u;
  for (uint32_t i = 0; i < width; ++i) order[i] = kNone;
  for (uint32_t i = 0; i < count; ++i) {
    ids[i] = vocabulary_.byte_token(bytes[i]);
    left[i] = uint8_t(i - 1);
    right[i] = uint8_t(i + 1);
  }
  for (uint32_t i = 0; i + 1 < count; ++i)
    order[i] = vocabulary_.merge_bytes(bytes[i], bytes[i + 1]) << 5 | i;
  for (;;) {
    uint32_t next = kNone;
    for (uint32_t i = 0; i < width; i += 8)
      for (uint32_t j = 0; j < 8; ++j) next = std::min(next, order[i + j]);
    if (next >= kNone) break;
    const uint32_t at = next & 31, gone = right[at], behind = right[gone];
    const TokenId id = next >> 5;
    ids[at] = id;
    order[gone] = kNone;
    right[at] = uint8_t(behind);
    left[behind] = uint8_t(at);
    order[at] = behind < count ? vocabulary_.merge(id, ids[behind]) << 5 | at : kNone;
    if (at > 0) order[left[at]] = vocabulary_.merge(ids[left[at]], id) << 5 | left[at];
  }
  size_t tokens = 0;
  for (uint32_t i = 0; i < count; i = right[i]) ids[tokens++] = ids[i];
  return {ids, tokens};
}

TokenSpan PairMerger::merge_long(std::string_view pretoken) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(pretoken.data());
  const size_t count = pretoken.size();
  ids_.resize(std::max(ids_.size(), count));
  for (size_t i = 0; i < count; ++i) ids_[i] = vocabulary_.byte_token(bytes[i]);
  size_t left = count;
  for (;;) {
    TokenId lowest = kNoToken;
    size_t at = 0;
    for (size_t i = 0; i + 1 < left; ++i) {
      const TokenId merged = vocabulary_.merge(ids_[i], ids_[i + 1]);
      if (merged < lowest) lowest = merged, at = i;
    }
    if (lowest == kNoToken) return {ids_.data(), left};
    ids_[at] = lowest;
    std::copy(ids_.begin() + ptrdiff_t(at) + 2, ids_.begin() + ptrdiff_t(left),
              ids_.begin() + ptrdiff_t(at) + 1);
    --left;
  }
}

}  // namespace tokenmill
