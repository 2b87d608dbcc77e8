// What pretokens became, so that a word is merged once and looked up ever after.
//
//   short pretokens (1 to 15 bytes): sets of 64 bytes, a cache line, of two entries
//
//     set   | entry 0 | entry 1 |
//     entry | key: bytes, zero padded, length in byte 15 | ids or position | count |   32 bytes
//
//     A key has two sets it may be in; it goes where there is room, else into the first one, where
//     it pushes the older entry out. Up to 3 ids stand in the entry, more in the ring.
//
//   longer ones (up to kMaxLongBytes): sets of four slots, and ids and bytes in the ring
//
//     slot  | hash | position (48 bits) | bytes |     16 bytes
//
//   ring    ... | count | ids, 3 bytes each | bytes | ids of a short one | ...
//
//     Positions count all bytes ever written; what lies further back than the ring is long has been
//     overwritten, and who points there is a miss.
//
// Memory is allocated once and never grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
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
    std::memcpy(&key.low, pretoken.data(), std::min<size_t>(pretoken.size(), 8));
    if (pretoken.size() > 8) {
      uint64_t rest = 0;
      std::memcpy(&rest, pretoken.data() + 8, pretoken.size() - 8);
      key.high |= rest;
    }
    return key;
  }
};

class PretokenCache {
 public:
  static constexpr size_t kMaxShortBytes = 15, kMaxLongBytes = 8192;
  static constexpr size_t kInlineIds = 3;
  struct Entry {
    ShortKey key;
    TokenId ids[kInlineIds];  // or the position in the ring, in ids[0] and ids[1]
    uint32_t count;           // 0: empty
  };
  struct alignas(64) Set {
    Entry entries[2];
  };
  // Ids in the ring.
  struct Packed {
    const uint8_t* ids;
    size_t count;  // 0: not found
  };

  // Uses at most `budget_bytes`, at least 128 KiB.
  explicit PretokenCache(size_t budget_bytes);

  static uint64_t hash_of(const ShortKey& key) {
    const auto product = static_cast<unsigned __int128>(key.low ^ 0x9E3779B97F4A7C15u) *
                         (key.high ^ 0xD6E8FEB86659FD93u);
    return uint64_t(product) ^ uint64_t(product >> 64);
  }
  const Set& first_set(uint64_t hash) const { return sets_[scale(uint32_t(hash), set_count_)]; }
  const Set& second_set(uint64_t hash) const { return sets_[scale(hash >> 32, set_count_)]; }
  // The ids of an entry with more than kInlineIds.
  Packed in_ring(const Entry& entry) const {
    uint64_t position;
    std::memcpy(&position, entry.ids, sizeof position);
    return {at(position), is_there(position) ? entry.count : 0};
  }
  void insert_short(const ShortKey& key, uint64_t hash, TokenSpan tokens);

  static uint64_t hash_of(std::string_view pretoken);
  Packed find_long(std::string_view pretoken, uint64_t hash) const;
  void insert_long(std::string_view pretoken, uint64_t hash, TokenSpan tokens);

  // Writes packed ids to `out`, which has room for them; reads a byte behind them.
  static TokenId* unpack(Packed packed, TokenId* out) {
    for (size_t i = 0; i < packed.count; ++i) {
      uint32_t word;
      std::memcpy(&word, packed.ids + 3 * i, sizeof word);
      *out++ = word & 0xFFFFFF;
    }
    return out;
  }

 private:
  static constexpr size_t kSlots = 4;
  struct Slot {
    uint64_t hash;
    uint64_t place;  // position << 16 | bytes; 0: empty
  };
  struct alignas(64) SlotSet {
    Slot slots[kSlots];
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  template <class T>
  using Memory = std::unique_ptr<T[], Free>;

  const uint8_t* at(uint64_t position) const { return ring_.get() + position % ring_bytes_; }
  bool is_there(uint64_t position) const { return written_ - position <= ring_bytes_; }
  // The position of `bytes` (at most half the ring) new ones in a row.
  uint64_t allocate(size_t bytes);

  // A 32-bit hash as an index below `count`, which need not be a power of two.
  static size_t scale(uint64_t hash, size_t count) { return size_t(hash * count >> 32); }
  SlotSet& slot_set(uint64_t hash) const {
    return slot_sets_[scale(uint32_t(hash), slot_set_count_)];
  }

  size_t set_count_, slot_set_count_, ring_bytes_;
  Memory<Set> sets_;
  Memory<SlotSet> slot_sets_;
  Memory<uint8_t> ring_;
  uint64_t written_ = 0;
};

}  // namespace tokenmill
