#include "longest_match.h"

#include <algorithm>

namespace tokenmill {

TokenTrie::TokenTrie(const Vocabulary& vocabulary) : shorter_(vocabulary.size(), kNoToken) {
  // A node for each distinct prefix; sorted tokens tell how many without building anything.
  std::vector<TokenId> sorted;
  for (TokenId id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.is_regular(id)) sorted.push_back(id);
  std::sort(sorted.begin(), sorted.end(), [&](TokenId a, TokenId b) {
    return vocabulary.bytes_of(a) < vocabulary.bytes_of(b);
  });
  size_t nodes = 1;
  std::string_view before;
  for (const TokenId id : sorted) {
    const std::string_view token = vocabulary.bytes_of(id);
    const auto shared = std::mismatch(token.begin(), token.begin() + ptrdiff_t(std::min(
                                          token.size(), before.size())), before.begin());
    nodes += size_t(token.end() - shared.first);
    before = token;
  }
  unsigned bits = 10;
  while ((size_t{1} << bits) < 2 * nodes) ++bits;
  edges_.assign(size_t{1} << bits, kNoEdge);
  mask_ = edges_.size() - 1;
  shift_ = 64 - bits;
  token_at_.reserve(nodes);
  token_at_.push_back(kNoToken);
  for (const TokenId id : sorted) {  // a prefix comes before what it is a prefix of
    uint32_t node = 0;
    for (const char byte : vocabulary.bytes_of(id)) {
      if (token_at_[node] != kNoToken) shorter_[id] = token_at_[node];
      const size_t slot = find(node, uint8_t(byte));
      if (edges_[slot] == kNoEdge) {
        edges_[slot] = (uint64_t(node) << 8 | uint8_t(byte)) << 28 | token_at_.size();
        token_at_.push_back(kNoToken);
      }
      node = uint32_t(edges_[slot] & ((1u << 28) - 1));
    }
    token_at_[node] = id;
  }
}

TokenId TokenTrie::longest_match(std::string_view text) const {
  TokenId longest = kNoToken;
  uint32_t node = 0;
  for (const char byte : text) {
    const uint64_t edge = edges_[find(node, uint8_t(byte))];
    if (edge == kNoEdge) break;
    node = uint32_t(edge & ((1u << 28) - 1));
    if (token_at_[node] != kNoToken) longest = token_at_[node];
  }
  return longest;
}

bool LongestMatchEncoder::compatible(TokenId a, TokenId b) const {
  // `before`: merges that came to be earlier than this have not been undone yet.
  for (uint32_t before = ~uint32_t{0};;) {
    const TokenId across = vocabulary_.merge(a, b);
    if (across != kNoToken && across + 1 < before) return false;
    const uint32_t formed_a = vocabulary_.formed(a), formed_b = vocabulary_.formed(b);
    if (formed_a == 0 && formed_b == 0) return true;
    if (formed_a > formed_b) {
      // Of two equal merges the left one comes first: `a` before one over the border.
      before = formed_a;
      a = vocabulary_.right_part(a);
    } else {
      before = formed_b + 1;
      b = vocabulary_.left_part(b);
    }
  }
}

void LongestMatchEncoder::encode(std::string_view pretoken, std::vector<TokenId>& out) {
  out.clear();
  given_up_.assign(pretoken.size() / 64 + 1, 0);
  size_t at = 0;
  TokenId token = trie_.longest_match(pretoken);
  for (;;) {
    const size_t end = at + vocabulary_.bytes_of(token).size();
    if (!(given_up_[end / 64] >> (end % 64) & 1) &&
        (out.empty() || compatible(out.back(), token))) {
      out.push_back(token);
      if (end == pretoken.size()) return;
      at = end;
      token = trie_.longest_match(pretoken.substr(at));
      continue;
    }
    while ((token = trie_.shorter(token)) == kNoToken) {  // nothing can follow what is before `at`
      given_up_[at / 64] |= uint64_t{1} << (at % 64);
      token = out.back();
      out.pop_back();
      at -= vocabulary_.bytes_of(token).size();
    }
  }
}

}  // namespace tokenmill
