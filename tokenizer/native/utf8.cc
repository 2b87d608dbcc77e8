#include "utf8.h"

#include <cstring>

#include "cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace tokenmill {

namespace {

// The bytes of the well-formed character at `at` in [at, end), or 0.
size_t character_bytes(const uint8_t* at, const uint8_t* end) {
  if (*at < 0x80) return 1;
  const size_t bytes = *at < 0xC0 || *at > 0xF4 ? 0 : *at < 0xE0 ? 2 : *at < 0xF0 ? 3 : 4;
  if (bytes == 0 || size_t(end - at) < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i)
    if ((at[i] & 0xC0) != 0x80) return 0;
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const uint32_t code_point = decode_multibyte(at).code_point;
  const bool is_surrogate = code_point >> 11 == 0xD800 >> 11;
  return code_point < kSmallest[bytes] || code_point > 0x10FFFF || is_surrogate ? 0 : bytes;
}

bool is_valid_plain(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = at + text.size();
  while (at < end) {
    uint64_t word = 0x80;
    if (end - at >= 8) std::memcpy(&word, at, sizeof word);
    const size_t bytes = word & 0x8080808080808080u ? character_bytes(at, end) : 8;
    if (bytes == 0) return false;
    at += bytes;
  }
  return true;
}

#if defined(__x86_64__)
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2")
#endif
// 16 bytes at a time (Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte",
// 2021): three look-ups, by the nibbles of a byte and of the one before, name what is wrong with
// the two; only "two continuations" is right where a character of three or four bytes asks for it.
class Avx2Validator {
 public:
  void add(__m128i bytes) {
    if (_mm_movemask_epi8(_mm_or_si128(bytes, before_)) != 0) {
      const __m128i one = _mm_alignr_epi8(bytes, before_, 15);
      const __m128i two = _mm_alignr_epi8(bytes, before_, 14);
      const __m128i three = _mm_alignr_epi8(bytes, before_, 13);
      const __m128i wrong = _mm_and_si128(
          _mm_and_si128(_mm_shuffle_epi8(kFirstHigh, high(one)),
                        _mm_shuffle_epi8(kFirstLow, _mm_and_si128(one, _mm_set1_epi8(15)))),
          _mm_shuffle_epi8(kSecondHigh, high(bytes)));
      const __m128i asked = _mm_and_si128(
          _mm_or_si128(_mm_subs_epu8(two, _mm_set1_epi8(0xE0 - 0x80)),
                       _mm_subs_epu8(three, _mm_set1_epi8(0xF0 - 0x80))),
          _mm_set1_epi8(char(0x80)));
      errors_ = _mm_or_si128(errors_, _mm_xor_si128(wrong, asked));
    }
    before_ = bytes;
  }
  // The same for bytes that were or'ed with each other, if they are ASCII; else false.
  bool add_ascii(__m128i all) {
    if (_mm_movemask_epi8(_mm_or_si128(all, before_)) != 0) return false;
    before_ = _mm_setzero_si128();  // as good as the last of them
    return true;
  }
  bool is_valid() const { return _mm_testz_si128(errors_, errors_); }

 private:
  enum : char {
    kShort = 1, kLong = 2, kOverlong3 = 4, kLarge = 8, kSurrogate = 16, kOverlong2 = 32,
    kLarger = 64, kOverlong4 = 64, kTwo = char(128), kAny = kShort | kLong | kTwo,
    kRest = kAny | kLarge | kLarger, kTail = kLong | kOverlong2 | kTwo,
  };
  static __m128i high(__m128i bytes) {
    return _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
  }
  const __m128i kFirstHigh = _mm_setr_epi8(
      kLong, kLong, kLong, kLong, kLong, kLong, kLong, kLong, kTwo, kTwo, kTwo, kTwo,
      kShort | kOverlong2, kShort, kShort | kOverlong3 | kSurrogate,
      kShort | kLarge | kLarger | kOverlong4);
  const __m128i kFirstLow = _mm_setr_epi8(
      kAny | kOverlong3 | kOverlong2 | kOverlong4, kAny | kOverlong2, kAny, kAny, kAny | kLarge,
      kRest, kRest, kRest, kRest, kRest, kRest, kRest, kRest, kRest | kSurrogate, kRest, kRest);
  const __m128i kSecondHigh = _mm_setr_epi8(
      kShort, kShort, kShort, kShort, kShort, kShort, kShort, kShort,
      kTail | kOverlong3 | kLarger | kOverlong4, kTail | kOverlong3 | kLarge,
      kTail | kSurrogate | kLarge, kTail | kSurrogate | kLarge, kShort, kShort, kShort, kShort);
  __m128i before_ = _mm_setzero_si128(), errors_ = _mm_setzero_si128();
};

bool is_valid_avx2(std::string_view text) {
  Avx2Validator validator;
  size_t at = 0;
  const auto load = [&](size_t from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
  };
  for (; at + 64 <= text.size(); at += 64) {
    const __m128i parts[] = {load(at), load(at + 16), load(at + 32), load(at + 48)};
    if (validator.add_ascii(_mm_or_si128(_mm_or_si128(parts[0], parts[1]),
                                         _mm_or_si128(parts[2], parts[3]))))
      continue;
    for (const __m128i& part : parts) validator.add(part);
  }
  for (; at + 16 <= text.size(); at += 16) validator.add(load(at));
  char tail[16] = {};  // at least one zero: a character that the end cuts is an error, too
  std::memcpy(tail, text.data() + at, text.size() - at);
  validator.add(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tail)));
  return validator.is_valid();
}
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

}  // namespace

bool is_valid_utf8(std::string_view text) {
#if defined(__x86_64__)
  static const bool is_fast = instructions() != Instructions::kPlain;
  if (is_fast) return is_valid_avx2(text);
#endif
  return is_valid_plain(text);
}

}  // namespace tokenmill
