#include "merge.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>

namespace tokenmill {

TokenSpan Merger::merge_short(std::string_view pretoken) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(pretoken.data());
  size_t count = pretoken.size();
  TokenId* const ids = short_ids_;
  TokenId merged[kShortBytes];  // merged[i]: what ids[i] and ids[i + 1] merge into
  for (size_t i = 0; i < count; ++i) ids[i] = vocabulary_.byte_token(bytes[i]);
  for (size_t i = 0; i + 1 < count; ++i)
    merged[i] = vocabulary_.merge_bytes(bytes[i], bytes[i + 1]);
  while (count > 1) {
    TokenId lowest = merged[0];
    for (size_t i = 1; i + 1 < count; ++i) lowest = std::min(lowest, merged[i]);
    if (lowest == kNoToken) break;
    size_t at = 0;
    while (merged[at] != lowest) ++at;
    ids[at] = lowest;
    --count;
    std::memmove(ids + at + 1, ids + at + 2, (count - at - 1) * sizeof(TokenId));
    if (at + 1 < count) {
      std::memmove(merged + at + 1, merged + at + 2, (count - at - 2) * sizeof(TokenId));
      merged[at] = vocabulary_.merge(ids[at], ids[at + 1]);
    }
    if (at > 0) merged[at - 1] = vocabulary_.merge(ids[at - 1], ids[at]);
  }
  return {ids, count};
}

TokenSpan Merger::merge_long(std::string_view pretoken) {
  constexpr uint32_t kNowhere = ~uint32_t{0};
  if (pretoken.size() >= kNowhere) throw std::length_error("a pretoken of 4 GiB or more");
  const auto count = uint32_t(pretoken.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(pretoken.data());
  const auto later = std::greater<uint64_t>();
  symbols_.resize(count);
  heap_.clear();
  for (uint32_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const TokenId merged = last ? kNoToken : vocabulary_.merge_bytes(bytes[i], bytes[i + 1]);
    symbols_[i] = {vocabulary_.byte_token(bytes[i]), merged, i ? i - 1 : kNowhere,
                   last ? kNowhere : i + 1};
    if (merged != kNoToken) heap_.push_back(uint64_t(merged) << 32 | i);
  }
  std::make_heap(heap_.begin(), heap_.end(), later);
  const auto look_again = [&](uint32_t at) {
    Symbol& symbol = symbols_[at];
    symbol.merged = symbol.right == kNowhere
                        ? kNoToken
                        : vocabulary_.merge(symbol.id, symbols_[symbol.right].id);
    if (symbol.merged == kNoToken) return;
    heap_.push_back(uint64_t(symbol.merged) << 32 | at);
    std::push_heap(heap_.begin(), heap_.end(), later);
  };
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const auto merged = TokenId(heap_.back() >> 32);
    const auto at = uint32_t(heap_.back());
    heap_.pop_back();
    Symbol& symbol = symbols_[at];
    // An entry is stale when one side has merged elsewhere since it was pushed.
    if (symbol.id == kNoToken || symbol.merged != merged) continue;
    Symbol& gone = symbols_[symbol.right];
    symbol.id = merged;
    symbol.right = gone.right;
    gone.id = gone.merged = kNoToken;
    if (symbol.right != kNowhere) symbols_[symbol.right].left = at;
    look_again(at);
    if (symbol.left != kNowhere) look_again(symbol.left);
  }
  long_ids_.clear();
  for (uint32_t at = 0; at != kNowhere; at = symbols_[at].right)
    long_ids_.push_back(symbols_[at].id);
  return {long_ids_.data(), long_ids_.size()};
}

}  // namespace tokenmill
