#include "merge_long.h"

#include <algorithm>

#include "cpu.h"

namespace tokenmill {

namespace {

constexpr size_t kChildren = 16;
constexpr size_t kKeptBytes = 1 << 20;  // the tree of a longer word is not kept

TokenId smallest(const TokenId* children) {
  TokenId least = children[0];
  for (size_t i = 1; i < kChildren; ++i) least = std::min(least, children[i]);
  return least;
}

}  // namespace

size_t LongMerger::merge(const uint8_t* bytes, size_t count, TokenId* tokens) {
  count_ = count;
  ids_ = tokens;
  for (size_t i = 0; i < count; ++i) ids_[i] = vocabulary_.byte_token(bytes[i]);
  starts_.assign(count / 64 + 1, ~uint64_t{0});
  grow_tree(bytes);
  while (levels_[top_][0] != kNoToken) {
    lowest_ = levels_[top_][0];
    is_lower_ = false;
    sweep(top_, 0);
  }
  size_t written = 0;
  for (size_t at = 0; at < count; at = next(at)) tokens[written++] = ids_[at];
  if (count > kKeptBytes) levels_ = {};
  return written;
}

void LongMerger::grow_tree(const uint8_t* bytes) {
  size_t nodes = count_;
  for (top_ = 0;; ++top_) {
    if (top_ == levels_.size()) levels_.emplace_back();
    std::vector<TokenId>& level = levels_[top_];
    const size_t parents = (nodes + kChildren - 1) / kChildren;
    level.assign(parents * kChildren, kNoToken);
    if (top_ > 0)
      for (size_t i = 0; i < nodes; ++i) level[i] = smallest(&levels_[top_ - 1][i * kChildren]);
    else
      for (size_t i = 0; i + 1 < nodes; ++i)
        level[i] = vocabulary_.merge_bytes(bytes[i], bytes[i + 1]);
    if (nodes == 1) return;
    nodes = parents;
  }
}

void LongMerger::sweep(size_t level, size_t node) {
  TokenId* const children = &levels_[level - 1][node * kChildren];
  if (level == 1) {
    block_ = node;
    for (size_t i = 0; i < kChildren; ++i)
      while (children[i] == lowest_ && !is_lower_) merge_at(node * kChildren + i);
    block_ = kNoBlock;
  } else {
    for (size_t i = 0; i < kChildren; ++i)
      while (children[i] == lowest_ && !is_lower_) sweep(level - 1, node * kChildren + i);
  }
  levels_[level][node] = smallest(children);
}

void LongMerger::merge_at(size_t at) {
  const size_t gone = next(at), after = next(gone);
  starts_[gone / 64] &= ~(uint64_t{1} << gone % 64);
  ids_[at] = lowest_;
  set(gone, kNoToken);
  if (after < count_)
    set_pair(at, after);
  else
    set(at, kNoToken);
  if (at > 0) set_pair(previous(at), at);
}

TOKENMILL_CLONES
void LongMerger::set_pair(size_t left, size_t right) {
  const TokenId merged = vocabulary_.merge(ids_[left], ids_[right]);
  is_lower_ |= merged < lowest_;
  set(left, merged);
}

void LongMerger::set(size_t at, TokenId id) {
  levels_[0][at] = id;
  size_t node = at / kChildren;
  if (node == block_) return;  // `sweep` will look at it
  for (size_t level = 1; level <= top_; ++level, node /= kChildren) {
    const TokenId least = smallest(&levels_[level - 1][node * kChildren]);
    if (levels_[level][node] == least) return;
    levels_[level][node] = least;
  }
}

size_t LongMerger::next(size_t at) const {
  size_t word = ++at / 64;
  uint64_t bits = starts_[word] >> at % 64;
  if (bits) return std::min(count_, at + size_t(__builtin_ctzll(bits)));
  while (++word < starts_.size())
    if (starts_[word]) return std::min(count_, word * 64 + size_t(__builtin_ctzll(starts_[word])));
  return count_;
}

size_t LongMerger::previous(size_t at) const {
  size_t word = --at / 64;
  uint64_t bits = starts_[word] << (63 - at % 64);
  if (bits) return at - size_t(__builtin_clzll(bits));
  while (!starts_[--word]) {
  }
  return word * 64 + 63 - size_t(__builtin_clzll(starts_[word]));
}

}  // namespace tokenmill
