// A pretoken as the split leaves it and the cache takes it: where it is, and a key to look it up by.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tokenmill {

// Up to kMaxBytes bytes, zero padded, as two little-endian numbers; the length is the top byte. All
// longer pretokens have one key, which no short one has.
struct ShortKey {
  static constexpr size_t kMaxBytes = 15;
  uint64_t low, high;

  bool operator==(const ShortKey& other) const {
    return ((low ^ other.low) | (high ^ other.high)) == 0;
  }
  // 16 bytes can be read at `bytes`.
  static ShortKey of(const uint8_t* bytes, size_t count) {
    static constexpr struct Masks {
      uint64_t low[17], high[17], length[17];
      constexpr Masks() : low(), high(), length() {
        for (unsigned i = 0; i <= kMaxBytes; ++i) {
          low[i] = i >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * i) - 1;
          high[i] = i <= 8 ? 0 : (uint64_t{1} << 8 * (i - 8)) - 1;
          length[i] = uint64_t{i} << 56;
        }
        length[16] = ~uint64_t{0};
      }
    } kMasks;
    const size_t i = std::min(count, kMaxBytes + 1);
    uint64_t words[2];
    std::memcpy(words, bytes, sizeof words);
    return {words[0] & kMasks.low[i], (words[1] & kMasks.high[i]) | kMasks.length[i]};
  }
  // The same where no more than the text can be read.
  static ShortKey of(std::string_view text) {
    uint8_t padded[kMaxBytes + 1] = {};
    std::memcpy(padded, text.data(), std::min(text.size(), sizeof padded));
    return of(padded, text.size());
  }
  uint64_t hash() const {
    const auto product = static_cast<unsigned __int128>(low ^ 0x9E3779B97F4A7C15u) *
                         (high ^ 0xD6E8FEB86659FD93u);
    return uint64_t(product) ^ uint64_t(product >> 64);
  }
  // Cheaper than `hash`, and good enough to find a set by.
  uint32_t short_hash() const {
    return uint32_t((low * 0x9E3779B97F4A7C15u + high * 0xD6E8FEB86659FD93u) >> 32);
  }
};

struct Pretoken {
  ShortKey key;
  const uint8_t* begin;
  uint32_t bytes;
  uint32_t short_hash;  // of the key

  bool is_short() const { return bytes <= ShortKey::kMaxBytes; }
  std::string_view text() const { return {reinterpret_cast<const char*>(begin), bytes}; }
};

}  // namespace tokenmill
