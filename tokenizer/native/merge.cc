#include "merge.h"

#include <algorithm>
#include <cstring>

namespace tokenmill {

namespace {

// Closes the gap at `at` in `count` values. Eight at a time: a call of memmove costs more than the
// few values it would move here. Reads and writes up to seven values behind the end.
inline void remove_at(TokenId* values, size_t at, size_t count) {
  for (size_t i = at; i + 1 < count; i += 8) {
    TokenId eight[8];
    std::memcpy(eight, values + i + 1, sizeof eight);
    std::memcpy(values + i, eight, sizeof eight);
  }
}

}  // namespace

TokenSpan PairMerger::merge(std::string_view pretoken) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(pretoken.data());
  size_t count = pretoken.size();
  if (ids_.size() < count + 9) {
    ids_.resize(count + 9);
    merged_.resize(count + 9);
  }
  TokenId* const ids = ids_.data();
  TokenId* const merged = merged_.data();  // merged[i]: what ids[i] and ids[i + 1] merge into
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
    remove_at(ids, at + 1, count);
    remove_at(merged, at, count - 1);
    --count;
    if (at + 1 < count) merged[at] = vocabulary_.merge(ids[at], ids[at + 1]);
    if (at > 0) merged[at - 1] = vocabulary_.merge(ids[at - 1], ids[at]);
  }
  return {ids, count};
}

}  // namespace tokenmill
