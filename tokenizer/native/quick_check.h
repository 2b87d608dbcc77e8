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
//
// Nearly all text is passed over by its bytes: ASCII, and characters that begin with a byte with which
// only starters begin, as those of Latin, Cyrillic, Chinese and Korean do.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "cpu.h"
#include "utf8.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
    std::fill_n(passes_, 256, true);
    for (uint32_t code_point = 0x80; code_point < 0x110000; ++code_point)
      if (class_of_[code_point] >= starters) passes_[first_byte(code_point)] = false;
    for (unsigned byte = 0x80; byte < 0x100; ++byte)
      pass_bits_[byte & 15] |= uint8_t(passes_[byte] << (byte >> 4 & 7));
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
      if (now < starters_) at = last_of_starters(at, end);
    }
    cut();
  }

 private:
  static uint8_t first_byte(uint32_t code_point) {
    if (code_point < 0x800) return uint8_t(0xC0 | code_point >> 6);
    if (code_point < 0x10000) return uint8_t(0xE0 | code_point >> 12);
    return uint8_t(0xF0 | code_point >> 18);
  }

  bool is_starter(const Decoded& character) const {
    return class_of_[character.code_point] < starters_;
  }

  // Of a run of starters only the last matters for what comes next; `at` itself where there is none.
  const uint8_t* last_of_starters(const uint8_t* at, const uint8_t* end) const {
    const uint8_t* stop = at;
#if defined(__x86_64__)
    static const bool is_fast = instructions() != Instructions::kPlain;
    if (is_fast) stop = pass_avx2(stop, end);
#endif
    while (stop < end) {
      if (eight_are_ascii(stop, end)) {
        stop += 8;
      } else if (passes_[*stop]) {
        ++stop;
      } else {
        const Decoded next = decode_multibyte(stop);
        if (!is_starter(next)) break;
        stop += next.bytes;
      }
    }
    if (stop == at) return at;
    do --stop;
    while ((*stop & 0xC0) == 0x80);
    return stop;
  }

  static bool eight_are_ascii(const uint8_t* at, const uint8_t* end) {
    uint64_t word;
    if (end - at < ptrdiff_t(sizeof word)) return false;
    std::memcpy(&word, at, sizeof word);
    return !(word & 0x8080808080808080u);
  }

#if defined(__x86_64__)
  // The first character that is no starter, or where fewer than 32 bytes are left.
  __attribute__((target("avx2"))) const uint8_t* pass_avx2(const uint8_t* at,
                                                           const uint8_t* end) const {
    const __m256i rows = _mm256_broadcastsi128_si256(
        _mm_load_si128(reinterpret_cast<const __m128i*>(pass_bits_)));
    const __m256i low = _mm256_set1_epi8(15);
    for (; end - at >= 32; at += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      if (!_mm256_movemask_epi8(bytes)) continue;
      const __m256i row =
          _mm256_shuffle_epi8(_mm256_set1_epi64x(int64_t(0x8040201008040201)),
                              _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low));
      const __m256i bits =
          _mm256_and_si256(_mm256_shuffle_epi8(rows, _mm256_and_si256(bytes, low)), row);
      // All ASCII passes: of the others the top bit tells.
      const __m256i stays =
          _mm256_and_si256(_mm256_cmpeq_epi8(bits, _mm256_setzero_si256()), bytes);
      for (auto left = uint32_t(_mm256_movemask_epi8(stays)); left; left &= left - 1)
        if (const uint8_t* const first = at + __builtin_ctz(left); !is_starter(decode_multibyte(first)))
          return first;
    }
    return at;
  }
#endif

  std::vector<uint8_t> class_of_, follows_;
  size_t classes_, starters_;
  bool passes_[256];  // ASCII, what continues a character, and first bytes of nothing but starters
  // Bit h of [l]: whether byte 0x80 | h << 4 | l passes.
  alignas(16) uint8_t pass_bits_[16] = {};
};

}  // namespace tokenmill
