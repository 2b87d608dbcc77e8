#include "vocabulary.h"

#include <algorithm>
#include <stdexcept>

#include "merge.h"

namespace tokenmill {

Vocabulary::Vocabulary(std::string bytes, std::vector<uint64_t> offsets, size_t merged,
                       PublishedIds published)
    : bytes_(std::move(bytes)),
      offsets_(std::move(offsets)),
      byte_pairs_(65536, kNoToken),
      merged_(merged),
      published_(std::move(published)) {
  if (offsets_.empty() || offsets_.front() != 0 || offsets_.back() != bytes_.size() ||
      !std::is_sorted(offsets_.begin(), offsets_.end()))
    throw std::invalid_argument("token offsets do not fit the token bytes");
  if (size() >= kNoToken) throw std::invalid_argument("more than 2^21 - 1 tokens");
  const std::vector<uint32_t>& at = published_.at;
  if (!at.empty() && (at.size() != offsets_.size() || at.front() != 0 ||
                      at.back() != published_.ids.size() || !std::is_sorted(at.begin(), at.end())))
    throw std::invalid_argument("published ids do not fit the tokens");
  unsigned bits = 10;
  while ((size_t{1} << bits) < 2 * size()) ++bits;
  pairs_.assign(size_t{1} << bits, kEmpty);
  mask_ = pairs_.size() - 1;
  shift_ = 64 - bits;
  parts_.assign(size(), {kNoToken, kNoToken});
  add_bytes();
  add_merges();
}

void Vocabulary::add_bytes() {
  std::fill(std::begin(byte_tokens_), std::end(byte_tokens_), kNoToken);
  for (TokenId id = 0; id < size(); ++id) {
    const std::string_view token = bytes_of(id);
    if (token.size() == 1) {
      TokenId& slot = byte_tokens_[uint8_t(token[0])];
      if (slot != kNoToken) throw std::invalid_argument("two tokens stand for the same byte");
      slot = id;
      parts_[id] = {id, id};
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte)
    if (byte_tokens_[byte] == kNoToken)
      throw std::invalid_argument("no token stands for the single byte " + std::to_string(byte));
}

// Shorter tokens first: whatever is merged inside a token is shorter than the token.
void Vocabulary::add_merges() {
  std::vector<std::vector<TokenId>> by_length;
  for (TokenId id = 0; id < size(); ++id) {
    const size_t length = bytes_of(id).size();
    if (length < 2) continue;
    if (length >= by_length.size()) by_length.resize(length + 1);
    by_length[length].push_back(id);
  }
  PairMerger merger(*this);
  for (const auto& ids : by_length) {
    for (const TokenId id : ids) {
      const std::string_view token = bytes_of(id);
      const TokenSpan parts = merger.merge(token);
      if (parts.count == 1) throw std::invalid_argument("two tokens have the same bytes");
      if (parts.count == 2 && id < merged_)
        insert(parts.ids[0], parts.ids[1], id);
      else if (!irregular_.emplace(token, id).second)
        throw std::invalid_argument("two tokens have the same bytes");
    }
  }
}

void Vocabulary::insert(TokenId left, TokenId right, TokenId result) {
  parts_[result] = {left, right};
  if (formed(left) > result || formed(right) > result) ranks_are_ordered_ = false;
  const std::string_view a = bytes_of(left), b = bytes_of(right);
  if (a.size() == 1 && b.size() == 1) byte_pairs_[size_t(uint8_t(a[0])) << 8 | uint8_t(b[0])] = result;
  const uint64_t key = uint64_t(left) << kIdBits | right;
  size_t slot = slot_of(key);
  while (pairs_[slot] != kEmpty) slot = (slot + 1) & mask_;
  pairs_[slot] = key << kIdBits | result;
}

}  // namespace tokenmill
