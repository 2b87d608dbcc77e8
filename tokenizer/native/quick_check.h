// What in a text may not be in a Unicode normalization form yet, as spans that are to be normalized
// each on its own:
//
//   ... x o ◌̂ ◌̣ y ...    class_of[code point] < starters: text may be cut in front of it
//         └─┬─┘           follows[class before][class]: else, it is as normalization leaves it
//          span
//
// tools/make_normalization_data.py makes the tables, of the rules of UAX #15, and has the proof. A
// character may follow where it does not change, does not join the one before it, and is in
// canonical order. Nothing joins a character of class 0: text may be cut after it, too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "utf8.h"

namespace tokenmill {

class QuickCheck {
 public:
  // class_of[0x110000], follows[classes][classes]. ASCII are starters.
  QuickCheck(std::vector<uint8_t> class_of, std::vector<uint8_t> follows, size_t classes,
             size_t starters)
      : class_of_(std::move(class_of)), follows_(std::move(follows)), classes_(classes),
        starters_(starters) {
    bool fits = class_of_.size() == 0x110000 && follows_.size() == classes * classes;
    for (const uint8_t one : class_of_) fits = fits && one < classes;
    if (!fits) throw std::invalid_argument("normalization tables do not fit each other");
  }

  // Adds the bounds [start, stop) of the spans of `text`, valid UTF-8, which begins at `offset`.
  void find_spans(std::string_view text, int64_t offset, std::vector<int64_t>& bounds) const {
    const auto* const begin = reinterpret_cast<const uint8_t*>(text.data());
    const auto *at = begin, *start = begin, *const end = begin + text.size();
    size_t before = 0;
    bool sure = true;
    const auto cut = [&] {
      if (!sure) bounds.insert(bounds.end(), {offset + (start - begin), offset + (at - begin)});
      sure = true;
    };
    while (at < end) {
      Decoded next{*at, 1};
      if (*at >= 0x80) next = decode_multibyte(at);
      const size_t now = class_of_[next.code_point];
      if (now < starters_) {
        cut();
        start = now ? at : at + next.bytes;
      } else {
        sure = sure && follows_[before * classes_ + now];
      }
      before = now;
      at += next.bytes;
      if (next.code_point < 0x80) at = last_of_ascii(at, end);
    }
    cut();
  }

 private:
  // Of a run of ASCII only the last matters for what comes next; `at` itself where there is none.
  static const uint8_t* last_of_ascii(const uint8_t* at, const uint8_t* end) {
    const uint8_t* stop = at;
    uint64_t words[4];
    const auto others = [&words](size_t i) { return words[i] & 0x8080808080808080u; };
    for (; end - stop >= 32; stop += 32) {
      std::memcpy(words, stop, sizeof words);
      if (others(0) | others(1) | others(2) | others(3)) break;
    }
    for (; end - stop >= 8; stop += 8) {
      std::memcpy(words, stop, sizeof *words);
      if (others(0)) return std::max(at, stop + __builtin_ctzll(others(0)) / 8 - 1);
    }
    return stop - (stop > at);
  }

  std::vector<uint8_t> class_of_, follows_;
  size_t classes_, starters_;
};

}  // namespace tokenmill
