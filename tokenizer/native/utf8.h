// UTF-8: validation, and decoding of text already known to be valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tokenmill {

// True when `text` is well-formed UTF-8 as of Unicode table 3-7: no overlong forms, no surrogates,
// nothing above U+10FFFF.
bool is_valid_utf8(std::string_view text);

struct Decoded {
  uint32_t code_point;
  unsigned bytes;
};

// The character that starts with the non-ASCII byte at `at`, in valid UTF-8.
inline Decoded decode_multibyte(const uint8_t* at) {
  const uint32_t lead = at[0], second = at[1] & 0x3Fu;
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | second, 2};
  const uint32_t third = at[2] & 0x3Fu;
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | second << 6 | third, 3};
  return {(lead & 0x07) << 18 | second << 12 | third << 6 | (at[3] & 0x3Fu), 4};
}

}  // namespace tokenmill
