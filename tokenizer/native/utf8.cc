#include "utf8.h"

#include <cstring>

namespace tokenmill {

namespace {

// The bytes of the well-formed character at `at` in [at, end), or 0.
size_t character_bytes(const uint8_t* at, const uint8_t* end) {
  const uint8_t lead = at[0];
  const auto left = size_t(end - at);
  const auto is_tail = [at](size_t i) { return (at[i] & 0xC0) == 0x80; };
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;
  if (lead < 0xE0) return left >= 2 && is_tail(1) ? 2 : 0;
  if (lead < 0xF0) {
    if (left < 3 || !is_tail(1) || !is_tail(2)) return 0;
    if (lead == 0xE0 && at[1] < 0xA0) return 0;   // overlong
    if (lead == 0xED && at[1] >= 0xA0) return 0;  // a surrogate
    return 3;
  }
  if (lead > 0xF4 || left < 4 || !is_tail(1) || !is_tail(2) || !is_tail(3)) return 0;
  if (lead == 0xF0 && at[1] < 0x90) return 0;   // overlong
  if (lead == 0xF4 && at[1] >= 0x90) return 0;  // above U+10FFFF
  return 4;
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = at + text.size();
  while (at < end) {
    while (end - at >= 32) {  // ASCII runs, four words at a time
      uint64_t words[4];
      std::memcpy(words, at, sizeof words);
      if ((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080u) break;
      at += sizeof words;
    }
    // One stretch of at least a word before the run above is tried again.
    for (const uint8_t* const stop = end - at > 32 ? at + 32 : end; at < stop;) {
      const size_t bytes = character_bytes(at, end);
      if (bytes == 0) return false;
      at += bytes;
    }
  }
  return true;
}

}  // namespace tokenmill
