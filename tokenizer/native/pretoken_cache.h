// What pretokens became, so that a word is merged once and looked up ever after. Two layers:
//
//   sets     the shorter words: sets of 64 bytes, a cache line, of two entries.
//
//     set    | entry 0 | entry 1 |
//     entry  | key, see ShortKey | 3 ids, or where more of them are in the ring | count |
//
//   ring     all others: an index of 64-byte buckets over a ring of records of any length.
//
//     bucket | 12 tags, 8 bits of the hash each | 12 places in the ring, in units of 4 bytes |
//     record | bytes | count | ids | bytes of the pretoken |
//
//     The ring is written in sections. Before a section is written again, both layers forget all
//     that points into it, so a place never points at anything but its record.
//
// Memory is allocated once and never grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "huge_pages.h"
#include "merge.h"
#include "pretoken.h"
#include "vocabulary.h"

namespace tokenmill {

class PretokenCache {
 public:
  static constexpr size_t kInlineIds = 3;
  class Entry {
   public:
    ShortKey key;
    Entry() = default;
    Entry(const ShortKey& of, TokenSpan tokens) : key(of) {
      if (tokens.count <= kInlineIds)
        std::memcpy(words_, tokens.ids, sizeof words_ - sizeof *words_);
      else
        std::memcpy(words_, &tokens.ids, sizeof tokens.ids);
      words_[kInlineIds] = uint32_t(tokens.count);
    }
    uint32_t count() const { return words_[kInlineIds]; }
    // Up to kInlineIds, copied as if they were as many and one more.
    bool is_inline() const { return count() <= kInlineIds; }
    void copy_inline(TokenId* out) const { std::memcpy(out, words_, sizeof words_); }
    // More than kInlineIds.
    TokenSpan many() const {
      TokenSpan tokens{nullptr, count()};
      std::memcpy(&tokens.ids, words_, sizeof tokens.ids);
      return tokens;
    }

   private:
    // The ids, or the address of more of them; then how many: 0 is an empty entry.
    uint32_t words_[kInlineIds + 1];
  };

  // Uses at most `budget_bytes`, at least 128 KiB and at most 8 GiB.
  explicit PretokenCache(size_t budget_bytes);

  void prefetch_set(uint32_t short_hash) const { __builtin_prefetch(&set_of(short_hash)); }
  // The entry of a short pretoken, or one with another key. Half of the key tells which of the two to
  // look at: a word that shares it with the other one in its set may be missed.
  const Entry* find_in_set(const Pretoken& pretoken) const {
    const Entry* const entries = set_of(pretoken.short_hash).entries;
    return entries + (entries[1].key.low == pretoken.key.low);
  }
  // Of a short pretoken.
  void insert_in_set(const Pretoken& pretoken, const Entry& entry) {
    Entry* const entries = sets_[pretoken.short_hash & set_mask_].entries;
    entries[1] = entries[0];
    entries[0] = entry;
  }

  // What follows takes a hash of all bytes.
  static uint64_t hash_of(const Pretoken& pretoken) {
    return pretoken.is_short() ? pretoken.key.hash() : hash_of(pretoken.text());
  }
  static uint64_t hash_of(std::string_view pretoken);
  void prefetch_bucket(uint64_t hash) const { __builtin_prefetch(&bucket(hash)); }
  void prefetch_record(uint64_t hash) const {
    const Matches matches(bucket(hash), hash);
    if (matches.more()) __builtin_prefetch(record(bucket(hash).places[matches.slot()]));
  }
  // No tokens: not known.
  TokenSpan find(std::string_view pretoken, uint64_t hash) const;
  // Of a pretoken that is not there yet; does nothing for one that is too long to keep.
  void insert(std::string_view pretoken, uint64_t hash, TokenSpan tokens);

 private:
  static constexpr size_t kSlots = 12, kSections = 16;
  struct alignas(64) Set {
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
  const Set& set_of(uint32_t short_hash) const { return sets_[short_hash & set_mask_]; }
  // The ids of a record.
  const uint32_t* record(uint32_t place) const { return ring_.data() + place; }
  size_t place_of(uint64_t hash) const { return size_t((hash >> 32) * buckets_ >> 32); }
  const Bucket& bucket(uint64_t hash) const { return index_[place_of(hash)]; }
  static uint8_t tag_of(uint64_t hash) { return uint8_t(hash >> 24 | 1); }
  // The place of so many new words in a row.
  uint32_t allocate(size_t words);
  // What points to a place from `begin` to before `end`.
  void forget(uint32_t begin, uint32_t end);

  size_t set_mask_;  // how many sets there are, a power of two, less one
  size_t buckets_, section_words_, max_bytes_;
  size_t end_ = 0;        // of what is written of the ring, in words
  bool is_full_ = false;  // whether the ring has been written to its end once
  HugeVector<Set> sets_;
  HugeVector<Bucket> index_;
  HugeVector<uint32_t> ring_;
};

}  // namespace tokenmill
