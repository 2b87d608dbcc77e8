#include "vocabulary.h"

#include <algorithm>
#include <stdexcept>

#include "merge_long.h"
#include "merge_short.h"

namespace tokenmill {

Vocabulary::Vocabulary(std::string bytes, std::vector<uint64_t> offsets, size_t merged,
                       ExternalIds external)
    : bytes_(std::move(bytes)),
      offsets_(std::move(offsets)),
      byte_pairs_(65536, kNoToken),
      merged_(merged),
      external_(std::move(external)) {
  if (offsets_.empty() || offsets_.front() != 0 || offsets_.back() != bytes_.size() ||
      !std::is_sorted(offsets_.begin(), offsets_.end()))
    throw std::invalid_argument("token offsets do not fit the token bytes");
  if (size() >= kNoToken) throw std::invalid_argument("more than 2^21 - 1 tokens");
  const std::vector<uint32_t>& at = external_.at;
  if (at.empty() ? !external_.ids.empty() && external_.ids.size() != size()
                 : at.size() != offsets_.size() || at.front() != 0 ||
                       at.back() != external_.ids.size() || !std::is_sorted(at.begin(), at.end()))
    throw std::invalid_argument("external ids do not fit the tokens");
  unsigned bits = 7;
  while ((size_t{1} << bits) * Line::kSlots < 2 * size()) ++bits;
  pairs_.assign(size_t{1} << bits, Line());
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
  LongMerger long_merger(*this);
  std::vector<Word> words;
  std::vector<TokenId> tokens;
  for (const auto& ids : by_length) {
    if (ids.empty()) continue;
    const size_t length = bytes_of(ids[0]).size();
    tokens.resize(ids.size() * length);
    words.clear();
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto* const begin = reinterpret_cast<const uint8_t*>(bytes_of(ids[i]).data());
      TokenId* const room = &tokens[i * length];
      const size_t count = length > kMaxShortWord ? long_merger.merge(begin, length, room) : 0;
      words.push_back({begin, uint32_t(length), uint32_t(count), room});
    }
    merge_short(*this, words.data(), words.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      const TokenId* const parts = words[i].tokens;
      const bool merges = words[i].count == 2 && ids[i] < merged_;
      const bool is_new = merges ? merge(parts[0], parts[1]) == kNoToken
                                 : irregular_.emplace(bytes_of(ids[i]), ids[i]).second;
      if (!is_new) throw std::invalid_argument("two tokens have the same bytes");
      if (merges) insert(parts[0], parts[1], ids[i]);
    }
  }
}

void Vocabulary::insert(TokenId left, TokenId right, TokenId result) {
  parts_[result] = {left, right};
  is_in_order_ &= result > std::max(left, right);
  const std::string_view a = bytes_of(left), b = bytes_of(right);
  if (a.size() == 1 && b.size() == 1) byte_pairs_[size_t(uint8_t(a[0])) << 8 | uint8_t(b[0])] = result;
  const uint64_t key = key_of(left, right);
  size_t line = line_of(key);
  for (; pairs_[line].is_full(); ++line) {
    pairs_[line].slots[Line::kSlots - 1] |= kGoesOn;
    if (line + 1 == pairs_.size()) pairs_.push_back(Line());
  }
  *std::find(pairs_[line].slots, pairs_[line].slots + Line::kSlots, kEmpty) = key | result;
}

// Backwards, for a token may have several external ids and none has no place to be.
size_t Vocabulary::to_external(TokenId* ids, size_t count) const {
  if (external_.ids.empty()) return count;
  if (external_.at.empty()) {
    for (size_t i = 0; i < count; ++i) ids[i] = external_.ids[ids[i]];
    return count;
  }
  size_t total = 0;
  for (size_t i = 0; i < count; ++i) total += external_.at[ids[i] + 1] - external_.at[ids[i]];
  size_t to = total;
  for (size_t i = count; i-- > 0;) {
    const uint32_t begin = external_.at[ids[i]];
    for (uint32_t from = external_.at[ids[i] + 1]; from > begin;) ids[--to] = external_.ids[--from];
  }
  return total;
}

}  // namespace tokenmill
