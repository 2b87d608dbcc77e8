// Encoding a long pretoken without merging: take the longest token that fits, go back where two
// neighbours could not stand side by side. Linear in practice, where scanning for the next merge is
// quadratic.
//
// Two facts carry it (for the proof see github/rust-gems, crates/bpe):
//   1. A sequence of tokens is what merging gives exactly if each two neighbours are: if merging
//      the bytes of the pair gives the pair back.
//   2. What merging gives for a prefix is decided by its last token; so a position that was given
//      up once, because nothing could follow it, need not be tried again.
//
// compatible(a, b) decides 1 by undoing merges, latest first, down to the two bytes at the border:
//
//        a = (a1 (a2 a3))  |  b = ((b1 b2) b3)
//                 (a2 a3) | (b1 b2) b3      was there a merge over `|` that came before the next
//                     a3  | (b1 b2)         one undone? then the pair can not stand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

// The tokens of a vocabulary by their bytes, for longest-prefix look-ups. Immutable.
class TokenTrie {
 public:
  explicit TokenTrie(const Vocabulary& vocabulary);
  // The longest regular token that `text` starts with; `text` is not empty.
  TokenId longest_match(std::string_view text) const;
  // The longest regular token that is a proper prefix of this one, or kNoToken.
  TokenId shorter(TokenId id) const { return shorter_[id]; }

 private:
  static constexpr uint64_t kNoEdge = ~uint64_t{0};
  // The slot of the edge from `node` by `byte`, or the free slot where it belongs.
  size_t find(uint32_t node, uint8_t byte) const {
    const uint64_t key = uint64_t(node) << 8 | byte;
    size_t slot = size_t(key * 0x9E3779B97F4A7C15u >> shift_);
    while (edges_[slot] != kNoEdge && edges_[slot] >> 28 != key) slot = (slot + 1) & mask_;
    return slot;
  }

  std::vector<uint64_t> edges_;   // node (28 bits) | byte (8 bits) | child node (28 bits)
  std::vector<TokenId> token_at_; // node -> the token that ends there, or kNoToken
  std::vector<TokenId> shorter_;
  unsigned shift_;
  size_t mask_;
};

// One thread's scratch memory.
class LongestMatchEncoder {
 public:
  LongestMatchEncoder(const Vocabulary& vocabulary, const TokenTrie& trie)
      : vocabulary_(vocabulary), trie_(trie) {}
  // Writes the tokens of a non-empty pretoken to `out`, replacing what was there.
  void encode(std::string_view pretoken, std::vector<TokenId>& out);

 private:
  bool compatible(TokenId a, TokenId b) const;

  const Vocabulary& vocabulary_;
  const TokenTrie& trie_;
  std::vector<uint64_t> given_up_;  // a bit for each position
};

}  // namespace tokenmill
