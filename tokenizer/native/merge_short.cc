#include "merge_short.h"

#include <algorithm>
#include <cstring>

#include "cpu.h"

namespace tokenmill {

namespace {

constexpr unsigned kPlaceBits = 8;
constexpr uint32_t kNone = kNoToken << kPlaceBits;  // and whatever is larger
constexpr uint32_t kNowhere = kMaxShortWord;       // before the first symbol
// A word of English takes 356 ns with 12 under way, 346 with 24; 8 and 16 lie between.
constexpr size_t kUnderWay = 20;

// All places, from the one before 0 on, to be copied so many at a time.
constexpr size_t kStep = 32;
constexpr struct Places {
  uint8_t all[kMaxShortWord + 1 + 2];
  constexpr Places() : all() {
    for (size_t i = 0; i < sizeof all; ++i) all[i] = uint8_t(i - 1);
  }
} kPlaces;

using Eight = uint32_t __attribute__((vector_size(32)));
static inline void lower(Eight& least, const Eight& other) {
  least = least < other ? least : other;
}

// A symbol keeps the place of its first byte. `order[i]` says what the symbol at i and the one
// after it merge into, and where: rank << 8 | i, so that the smallest is the next merge, the
// leftmost of equals. Nothing moves when two symbols become one. The places before the first symbol
// and after the last hold kNoToken, which merges with nothing: no step asks where it is.
struct UnderWay {
  alignas(32) uint32_t order[kMaxShortWord + 1];
  TokenId ids[kMaxShortWord + 1];
  uint8_t left[kMaxShortWord + 1], right[kMaxShortWord + 1];
  uint32_t at;
  size_t eights;  // of `order`, that a place of the word is in; at least 4
  Word* word;

  void start(const Vocabulary& vocabulary, Word& of) {
    word = &of;
    eights = std::max<size_t>(4, of.bytes / 8 + 1);
    std::fill_n(order, eights * 8, kNone);
    for (uint32_t i = 0; i < of.bytes; i += kStep) {
      std::memcpy(left + i, kPlaces.all + i, kStep);
      std::memcpy(right + i, kPlaces.all + i + 2, kStep);
    }
    ids[0] = vocabulary.byte_token(of.begin[0]);
    for (uint32_t i = 1; i < of.bytes; ++i) {
      ids[i] = vocabulary.byte_token(of.begin[i]);
      order[i - 1] = vocabulary.merge_bytes(of.begin[i - 1], of.begin[i]) << kPlaceBits | (i - 1);
    }
    ids[of.bytes] = ids[kNowhere] = kNoToken;
    left[0] = kNowhere;
  }

  uint32_t smallest() const {
    const auto* const all = reinterpret_cast<const Eight*>(order);
    Eight least = all[0];
    for (size_t i = 1; i < 4; ++i) lower(least, all[i]);  // of most words these are all
    for (size_t i = 4; i < eights; ++i) lower(least, all[i]);
    const Eight& of = least;
    lower(least, Eight{of[4], of[5], of[6], of[7], of[0], of[1], of[2], of[3]});
    lower(least, Eight{of[2], of[3], of[0], of[1], of[6], of[7], of[4], of[5]});
    return std::min(least[0], least[1]);
  }

  // Makes the next merge and prefetches the pairs it gives; false when there is none.
  bool merge(const Vocabulary& vocabulary) {
    const uint32_t next = smallest();
    if (next >= kNone) return false;
    at = next & kMaxShortWord;
    const uint32_t gone = right[at], after = right[gone], before = left[at];
    ids[at] = next >> kPlaceBits;
    order[gone] = kNone;
    right[at] = uint8_t(after);
    left[after] = uint8_t(at);
    vocabulary.prefetch_merge(ids[at], ids[after]);
    vocabulary.prefetch_merge(ids[before], ids[at]);
    return true;
  }

  // Looks up the pairs of the last merge.
  void look_up(const Vocabulary& vocabulary) {
    const uint32_t after = right[at], before = left[at];
    order[at] = vocabulary.merge(ids[at], ids[after]) << kPlaceBits | at;
    order[before] = vocabulary.merge(ids[before], ids[at]) << kPlaceBits | before;
  }

  void finish() {
    uint32_t count = 0;
    for (uint32_t i = 0; i < word->bytes; i = right[i]) word->tokens[count++] = ids[i];
    word->count = count;
  }
};

}  // namespace

TOKENMILL_CLONES
void merge_short(const Vocabulary& vocabulary, Word* words, size_t count) {
  UnderWay under_way[kUnderWay];
  UnderWay* active[kUnderWay];
  Word* const end = words + count;
  // Takes the next word that has something to merge; false when there is none.
  const auto start_next = [&](UnderWay& place) {
    for (; words < end; ++words) {
      if (words->count) continue;
      place.start(vocabulary, *words);
      if (place.merge(vocabulary)) return ++words, true;
      place.finish();
    }
    return false;
  };
  size_t left = 0;
  for (; left < kUnderWay && start_next(under_way[left]); ++left) active[left] = &under_way[left];
  while (left > 0) {
    for (size_t i = 0; i < left; ++i) active[i]->look_up(vocabulary);
    for (size_t i = 0; i < left; ++i) {
      if (active[i]->merge(vocabulary)) continue;
      active[i]->finish();
      if (!start_next(*active[i])) active[i--] = active[--left];
    }
  }
}

}  // namespace tokenmill
