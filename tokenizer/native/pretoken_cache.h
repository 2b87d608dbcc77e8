// What pretokens became, so that a word is merged once and looked up ever after.
//
//   short pretokens (1 to 15 bytes, at most 3 tokens): sets of 64 bytes, a cache line, two entries
//
//     set   | entry 0                            | entry 1 (moved here when entry 0 is replaced) |
//     entry | key: bytes, zero padded, length in byte 15 | 3 ids | count, 0 = empty |   32 bytes
//
//   the others (up to kMaxLongBytes): a table of hashes and an arena with ids and bytes
//
//     slot  | hash | offset | bytes | count |  16 bytes     arena | ids | bytes | ids | bytes | ...
//
// Memory is allocated once and never grows. A full arena empties the second table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "merge.h"
#include "vocabulary.h"

namespace tokenmill {

struct ShortKey {
  uint64_t low, high;  // the bytes as a little-endian number; the length is the top byte
  bool operator==(const ShortKey& other) const {
    return ((low ^ other.low) | (high ^ other.high)) == 0;
  }
  static ShortKey of(std::string_view pretoken) {
    ShortKey key{0, uint64_t(pretoken.size()) << 56};
    std::memcpy(&key, pretoken.data(), std::min<size_t>(pretoken.size(), 8));
    uint64_t rest = 0;
    if (pretoken.size() > 8) std::memcpy(&rest, pretoken.data() + 8, pretoken.size() - 8);
    key.high |= rest;
    return key;
  }
};

class PretokenCache {
 public:
  static constexpr size_t kMaxShortBytes = 15, kMaxShortTokens = 3, kMaxLongBytes = 256;
  struct Entry {
    ShortKey key;
    TokenId ids[kMaxShortTokens];
    uint32_t count;
  };
  struct alignas(64) Set {
    Entry entries[2];
  };

  // Uses at most `budget_bytes`, at least 64 KiB; three quarters for short pretokens.
  explicit PretokenCache(size_t budget_bytes);

  size_t set_of(const ShortKey& key) const {
    const auto product = static_cast<unsigned __int128>(key.low ^ 0x9E3779B97F4A7C15u) *
                         (key.high ^ 0xD6E8FEB86659FD93u);
    return size_t(uint64_t(product) ^ uint64_t(product >> 64)) & set_mask_;
  }
  Set& set(size_t index) { return sets_[index]; }
  void insert_short(const ShortKey& key, TokenSpan tokens);

  static uint64_t hash_long(std::string_view pretoken);
  // The tokens of a longer pretoken, or {nullptr, 0}; valid until the next insert_long().
  TokenSpan find_long(std::string_view pretoken, uint64_t hash) const;
  void insert_long(std::string_view pretoken, uint64_t hash, TokenSpan tokens);

 private:
  struct Slot {
    uint64_t hash;
    uint32_t offset;
    uint16_t bytes, count;  // bytes 0: empty
  };
  struct FreeSets {
    void operator()(Set* sets) const;
  };
  std::unique_ptr<Set[], FreeSets> sets_;
  size_t set_mask_;
  std::vector<Slot> slots_;
  size_t slot_mask_;
  std::vector<uint8_t> arena_;
  size_t arena_used_ = 0;
};

}  // namespace tokenmill
