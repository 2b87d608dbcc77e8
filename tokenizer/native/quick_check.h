// Whether a text is surely in a Unicode normalization form already, so that nothing is to be done.
//
//   code point ──► page_of[cp >> 8] ──► pages[page][cp & 255] = class
//   follows[class before][class] = a character of `class` is as normalization leaves it there
//
// tools/make_normalization_data.py makes the tables, of the rules of UAX #15: a character may
// follow where it does not change, does not join the one before it, and is in canonical order.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "utf8.h"

namespace tokenmill {

class QuickCheck {
 public:
  // page_of[0x1100], pages[p][256], follows[classes][classes]. Class 0 follows everything.
  QuickCheck(std::vector<uint16_t> page_of, std::vector<uint8_t> pages,
             std::vector<uint8_t> follows, size_t classes)
      : page_of_(std::move(page_of)), pages_(std::move(pages)), follows_(std::move(follows)),
        classes_(classes) {
    bool fits = page_of_.size() == 0x1100 && follows_.size() == classes * classes;
    for (const uint16_t page : page_of_) fits = fits && (size_t(page) + 1) * 256 <= pages_.size();
    for (const uint8_t one : pages_) fits = fits && one < classes;
    if (!fits) throw std::invalid_argument("normalization tables do not fit each other");
  }

  // `text` is valid UTF-8.
  bool is_normalized(std::string_view text) const {
    const auto* at = reinterpret_cast<const uint8_t*>(text.data());
    const auto* const end = at + text.size();
    size_t before = 0;
    while (at < end) {
      Decoded next{*at, 1};
      if (*at >= 0x80) next = decode_multibyte(at);
      const size_t page = page_of_[next.code_point >> 8];
      const size_t now = pages_[page << 8 | (next.code_point & 255)];
      if (!follows_[before * classes_ + now]) return false;
      before = now;
      at += next.bytes;
      if (next.code_point < 0x80) at = skip_ascii(at, end);
    }
    return true;
  }

 private:
  // ASCII follows everything; only the last of a run matters for what comes next.
  static const uint8_t* skip_ascii(const uint8_t* at, const uint8_t* end) {
    uint64_t words[2];
    for (; end - at >= 16; at += 15) {
      std::memcpy(words, at, sizeof words);
      if ((words[0] | words[1]) & 0x8080808080808080u) break;
    }
    return at;
  }

  std::vector<uint16_t> page_of_;
  std::vector<uint8_t> pages_, follows_;
  size_t classes_;
};

}  // namespace tokenmill
