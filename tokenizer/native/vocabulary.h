// A byte-level BPE vocabulary: which bytes a token stands for, and which pairs merge.
//
//   bytes of all tokens     | token 0 | token 1 | ... | token n-1 |      offsets[n+1]
//   byte_pairs[65536]       first byte, second byte -> token or kNoToken; the first step of
//                           every merge, a plain array that fits into L2
//   pairs[2^k]              lines of 8: left id (21 bits) | right id (21 bits) | goes on | result
//                           (21 bits), at most half full; a pair whose line is full is in a
//                           later one, and the last slot of that line "goes on"
//
// An id is also its rank: of two pairs the one with the smaller result merges first.
//
// `pairs` holds the canonical merge of each token only: the one that happens when the token's own
// bytes are merged. No other can occur. Proof: when a run of merges makes token T out of (a, b),
// no earlier merge crossed the borders of T, so the merges inside T came in the order in which
// they come when T stands alone (lowest rank first, leftmost first); hence (a, b) is also the
// last merge there. The table is half as large as one of all splits, and stays in L2.
//
// With an explicit list of merges (tokenizer.json) the same proof holds, and a token's rank is that
// of its canonical merge. tokenizer/vocabularies/merge_ranks.py numbers tokens by that rank; once it
// has, which merges the list holds is no longer asked here: the run that would show the difference
// is the one that finds the canonical merge, and it is the same for both.
//
// A token that its own merges do not produce is `irregular`: it occurs only when it is a whole
// pretoken (tiktoken looks a pretoken up before it merges, tokenizer.json says `ignore_merges`),
// never inside one.
//
// Outside, tokens have other ids, the external ones: `to_external` takes one to the other when merging
// is done. Half a character has no id of its own there, but one for each byte (byte fallback).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "huge_pages.h"

namespace tokenmill {

using TokenId = uint32_t;
constexpr unsigned kIdBits = 21;
constexpr TokenId kNoToken = (1u << kIdBits) - 1;  // larger than every id, so it never is a minimum

// The external ids of token i are ids[at[i]:at[i + 1]], at most one for each of its bytes. `at` is
// empty where it is ids[i], and `ids` too where it is i.
struct ExternalIds {
  std::vector<TokenId> ids;
  std::vector<uint32_t> at;
};

class Vocabulary {
 public:
  // `bytes` and `offsets` as drawn above; an empty token is a gap in the numbering. Tokens from
  // `merged` on are irregular whatever their merges give.
  // Throws std::invalid_argument when a single byte has no token, two tokens are equal, there are
  // more than 2^21 - 1 tokens, or `external` does not fit them.
  Vocabulary(std::string bytes, std::vector<uint64_t> offsets, size_t merged,
             ExternalIds external);
  Vocabulary(const Vocabulary&) = delete;  // `irregular_` looks into `bytes_`

  size_t size() const { return offsets_.size() - 1; }
  std::string_view bytes_of(TokenId id) const {
    return {bytes_.data() + offsets_[id], size_t(offsets_[id + 1] - offsets_[id])};
  }
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  TokenId merge_bytes(uint8_t left, uint8_t right) const {
    return byte_pairs_[size_t(left) << 8 | right];
  }
  // The token that `left` and `right` merge into, or kNoToken. No branch depends on it: it can not be
  // foreseen, and a processor that guessed wrong finds out when the line has come from memory.
  TokenId merge(TokenId left, TokenId right) const {
    const uint64_t key = key_of(left, right);
    for (size_t line = line_of(key);; ++line) {
      const TokenId result = pairs_[line].find(key);
      if (__builtin_expect((result != kNoToken) | !pairs_[line].goes_on(), 1)) return result;
    }
  }
  void prefetch_merge(TokenId left, TokenId right) const {
    __builtin_prefetch(&pairs_[line_of(key_of(left, right))]);
  }
  // The two tokens that merge into a token last; twice the token itself for a single byte, kNoToken
  // for gaps and irregular tokens.
  TokenId left_part(TokenId id) const { return parts_[id].left; }
  TokenId right_part(TokenId id) const { return parts_[id].right; }
  // Whether no token has a smaller id than its parts: merges are made in the order of their ids.
  bool is_in_order() const { return is_in_order_; }
  // Replaces tokens by their external ids; returns how many. There is room for one a byte.
  size_t to_external(TokenId* ids, size_t count) const;
  // The irregular token that is exactly this pretoken, or kNoToken.
  TokenId irregular(std::string_view pretoken) const {
    if (irregular_.empty()) return kNoToken;
    const auto found = irregular_.find(pretoken);
    return found == irregular_.end() ? kNoToken : found->second;
  }

 private:
  static constexpr unsigned kKeyBits = kIdBits + 1;
  static constexpr uint64_t kGoesOn = uint64_t{1} << kIdBits;
  static constexpr uint64_t kEmpty = ~uint64_t{0} << kKeyBits;  // the key of kNoToken twice
  static uint64_t key_of(TokenId left, TokenId right) {
    return (uint64_t(left) << kIdBits | right) << kKeyBits;
  }
  size_t line_of(uint64_t key) const { return size_t(key * 0x9E3779B97F4A7C15u >> shift_); }
  struct alignas(64) Line {
    using Four = uint64_t __attribute__((vector_size(32)));
    static constexpr size_t kSlots = 8;
    union {
      uint64_t slots[kSlots];
      Four fours[2];
    };
    Line() { std::fill_n(slots, kSlots, kEmpty); }
    bool is_full() const { return slots[kSlots - 1] != kEmpty; }
    bool goes_on() const { return slots[kSlots - 1] & kGoesOn; }
    // Of the slot of this key nothing is left above the result; no branch asks which it is.
    TokenId find(uint64_t key) const {
      const Four left[] = {fours[0] ^ key, fours[1] ^ key};
      const Four is[] = {Four(left[0] >> kKeyBits == 0), Four(left[1] >> kKeyBits == 0)};
      Four found = (is[0] & ~left[0]) | (is[1] & ~left[1]);
      found |= Four{found[2], found[3], found[0], found[1]};
      return TokenId(~(found[0] | found[1]) & kNoToken);
    }
  };
  void add_bytes();
  void add_merges();
  void insert(TokenId left, TokenId right, TokenId result);

  std::string bytes_;
  std::vector<uint64_t> offsets_;
  TokenId byte_tokens_[256];
  HugeVector<TokenId> byte_pairs_;
  struct Parts {
    TokenId left, right;
  };
  HugeVector<Parts> parts_;
  HugeVector<Line> pairs_;
  unsigned shift_ = 0;
  bool is_in_order_ = true;
  size_t merged_;
  ExternalIds external_;
  std::unordered_map<std::string_view, TokenId> irregular_;
};

}  // namespace tokenmill
