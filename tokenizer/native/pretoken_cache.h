// What pretokens became, so that a word is merged once and looked up ever after. Two layers:
//
//   hot      the words that make up most of a text: 256 KiB, so that they stay in L2. Sets of 64
//            bytes, a cache line, of two entries; only pretokens of up to 15 bytes and 3 tokens.
//
//     set    | entry 0 | entry 1 |
//     entry  | key: bytes, zero padded, length in byte 15 | ids | count |      32 bytes
//
//   all      an index of 64-byte buckets over a ring of records of any length.
//
//     bucket | 12 tags, 8 bits of the hash each | 12 places in the ring, in units of 4 bytes |
//     record | bytes | count | bytes of the pretoken | ids, 3 bytes each |
//
//     The ring is written in segments. Before a segment is written again, the index forgets all
//     that points into it, so a place never points at anything but its record.
//
// Memory is allocated once and never grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "merge.h"
#include "vocabulary.h"

namespace tokenmill {

// Up to 15 bytes as two little-endian numbers; the length is the top byte. Of longer pretokens the
// length alone.
struct ShortKey {
  static constexpr size_t kMaxBytes = 15;
  uint64_t low, high;
  bool operator==(const ShortKey& other) const {
    return ((low ^ other.low) | (high ^ other.high)) == 0;
  }
  // 16 bytes can be read at `bytes`.
  static ShortKey of(const uint8_t* bytes, size_t count) {
    static constexpr struct Masks {
      uint64_t low[16], high[16];
      constexpr Masks() : low(), high() {
        for (unsigned count = 0; count < 16; ++count) {
          low[count] = count >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * count) - 1;
          high[count] = count <= 8 ? 0 : (uint64_t{1} << 8 * (count - 8)) - 1;
        }
      }
    } kMasks;
    uint64_t words[2];
    std::memcpy(words, bytes, sizeof words);
    return {words[0] & kMasks.low[count], (words[1] & kMasks.high[count]) | uint64_t(count) << 56};
  }
  uint64_t hash() const {
    const auto product = static_cast<unsigned __int128>(low ^ 0x9E3779B97F4A7C15u) *
                         (high ^ 0xD6E8FEB86659FD93u);
    return uint64_t(product) ^ uint64_t(product >> 64);
  }
};

class PretokenCache {
 public:
  static constexpr size_t kMaxBytes = 8192;  // of a pretoken in the cache
  static constexpr size_t kInlineIds = 3;
  struct Entry {
    ShortKey key;
    TokenId ids[kInlineIds];
    uint32_t count;  // 0: empty
  };

  // Uses at most `budget_bytes`, at least 1 MiB.
  explicit PretokenCache(size_t budget_bytes);

  // Of a pretoken of up to 15 bytes the hash of its key, of longer ones another.
  static uint64_t hash_of(std::string_view pretoken);

  void prefetch_hot(uint64_t hash) const { __builtin_prefetch(&hot_set(hash)); }
  // The entry of a key, or one with another key.
  const Entry& hot(const ShortKey& key, uint64_t hash) const {
    const Entry* const entries = hot_set(hash).entries;
    return entries[entries[1].key == key];
  }
  void make_hot(const ShortKey& key, uint64_t hash, TokenSpan tokens);

  void prefetch_bucket(uint64_t hash) const { __builtin_prefetch(&bucket(hash)); }
  void prefetch_record(uint64_t hash) const {
    const Bucket& in = bucket(hash);
    for (Matches matches(in, hash); matches.more(); matches.next())
      return __builtin_prefetch(ring_.get() + 4 * size_t(in.places[matches.slot()]));
  }
  // Ids of 3 bytes each, followed by a byte that can be read.
  struct Record {
    const uint8_t* ids;
    uint32_t count;  // 0: not found
  };
  Record find(std::string_view pretoken, uint64_t hash) const;
  // A pretoken of up to kMaxBytes that is not there yet.
  void insert(std::string_view pretoken, uint64_t hash, TokenSpan tokens);

 private:
  static constexpr size_t kHotSets = 4096, kSlots = 12, kSegments = 16;
  struct alignas(64) HotSet {
    Entry entries[2];
  };
  struct alignas(64) Bucket {
    uint8_t tags[kSlots];  // 0: empty
    uint32_t oldest;       // the slot to replace when all are taken
    uint32_t places[kSlots];
  };
  // The slots of a bucket that have the tag of a hash, several at a time.
  class Matches {
   public:
    Matches(const Bucket& bucket, uint64_t hash);
    bool more() const { return mask_[0] | mask_[1]; }
    size_t slot() const {
      return size_t(mask_[0] ? __builtin_ctzll(mask_[0]) : 64 + __builtin_ctzll(mask_[1])) / 8;
    }
    void next() { (mask_[0] ? mask_[0] : mask_[1]) &= (mask_[0] ? mask_[0] : mask_[1]) - 1; }

   private:
    uint64_t mask_[2];
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  template <class T>
  using Memory = std::unique_ptr<T[], Free>;

  const HotSet& hot_set(uint64_t hash) const { return hot_[hash % kHotSets]; }
  Bucket& bucket(uint64_t hash) const { return index_[size_t((hash >> 32) * buckets_ >> 32)]; }
  static uint8_t tag_of(uint64_t hash) { return uint8_t(hash >> 24 | 1); }
  void forget(size_t begin, size_t end);

  size_t buckets_, segment_bytes_;
  size_t end_ = 0;      // of what is written of the ring
  bool is_full_ = false;  // whether the ring has been written to its end once
  Memory<HotSet> hot_;
  Memory<Bucket> index_;
  Memory<uint8_t> ring_;
};

}  // namespace tokenmill
