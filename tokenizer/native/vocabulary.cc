#include "vocabulary.h"

#include <algorithm>
#include <stdexcept>

#include "merge_long.h"
#include "merge_short.h"

namespace tokenmill {

Vocabulary::Vocabulary(std::string bytes, std::vector<uint64_t> offsets)
    : bytes_(std::move(bytes)), offsets_(std::move(offsets)), byte_pairs_(65536, kNoToken) {
  if (offsets_.empty() || offsets_.front() != 0 || offsets_.back() != bytes_.size() ||
      !std::is_sorted(offsets_.begin(), offsets_.end()))
    throw std::invalid_argument("token offsets do not fit the token bytes");
  if (size() >= kNoToken) throw std::invalid_argument("more than 2^21 - 1 tokens");
  unsigned bits = 10;
  while ((size_t{1} << bits) < 2 * size()) ++bits;
  pairs_.assign((size_t{1} << bits) + 2, kEmpty);
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
  std::vector<Piece> pieces;
  std::vector<TokenId> tokens;
  for (const auto& ids : by_length) {
    if (ids.empty()) continue;
    const size_t length = bytes_of(ids[0]).size();
    tokens.resize(ids.size() * length);
    pieces.clear();
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto* const begin = reinterpret_cast<const uint8_t*>(bytes_of(ids[i]).data());
      TokenId* const room = &tokens[i * length];
      const size_t count = length > kMaxShortPiece ? long_merger.merge(begin, length, room) : 0;
      pieces.push_back({begin, uint32_t(length), uint32_t(count), room});
    }
    merge_short(*this, pieces.data(), pieces.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      const TokenId* const parts = pieces[i].tokens;
      const bool is_new = pieces[i].count == 2 ? merge(parts[0], parts[1]) == kNoToken
                                               : irregular_.emplace(bytes_of(ids[i]), ids[i]).second;
      if (!is_new) throw std::invalid_argument("two tokens have the same bytes");
      if (pieces[i].count == 2) insert(parts[0], parts[1], ids[i]);
    }
  }
}

void Vocabulary::insert(TokenId left, TokenId right, TokenId result) {
  parts_[result] = {left, right};
  const std::string_view a = bytes_of(left), b = bytes_of(right);
  if (a.size() == 1 && b.size() == 1) byte_pairs_[size_t(uint8_t(a[0])) << 8 | uint8_t(b[0])] = result;
  const uint64_t key = uint64_t(left) << kIdBits | right;
  size_t slot = slot_of(key);
  while (pairs_[slot] != kEmpty) ++slot;
  if (slot + 2 >= pairs_.size()) pairs_.resize(slot + 3, kEmpty);
  pairs_[slot] = key << kIdBits | result;
}

namespace {

[[noreturn]] void fail(size_t line, const char* what) {
  throw std::invalid_argument("line " + std::to_string(line) + ": " + what);
}

constexpr struct Base64 {
  int8_t value[256];
  constexpr Base64() : value() {
    for (int i = 0; i < 256; ++i) value[i] = -1;
    for (int i = 0; i < 26; ++i) value['A' + i] = int8_t(i), value['a' + i] = int8_t(26 + i);
    for (int i = 0; i < 10; ++i) value['0' + i] = int8_t(52 + i);
    value['+'] = 62, value['/'] = 63;
  }
} kBase64;

void append_base64(std::string_view text, size_t line, std::string& out) {
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const int value = kBase64.value[uint8_t(c)];
    if (value < 0) fail(line, "the token is not base64");
    bits = bits << 6 | uint32_t(value);
    held += 6;
    if (held >= 8) out.push_back(char(bits >> (held -= 8)));
  }
  if (held >= 6) fail(line, "the token's base64 ends in the middle of a byte");
}

TokenId parse_rank(std::string_view digits, size_t line) {
  TokenId rank = 0;
  if (digits.empty() || digits.size() > 7) fail(line, "expected a rank below 2^21 - 1");
  for (const char c : digits) {
    if (c < '0' || c > '9') fail(line, "the rank is not a number");
    rank = rank * 10 + TokenId(c - '0');
  }
  if (rank >= kNoToken) fail(line, "expected a rank below 2^21 - 1");
  return rank;
}

}  // namespace

TokenTable parse_tiktoken(std::string_view file) {
  std::string decoded;                                 // tokens in the order of the file
  std::vector<std::pair<uint64_t, uint64_t>> of_rank;  // rank -> begin and end in `decoded`
  size_t line = 0;
  while (!file.empty()) {
    ++line;
    const size_t end = std::min(file.find('\n'), file.size());
    std::string_view row = file.substr(0, end);
    file.remove_prefix(std::min(end + 1, file.size()));
    if (!row.empty() && row.back() == '\r') row.remove_suffix(1);
    if (row.empty()) continue;
    const size_t space = row.find(' ');
    if (space == std::string_view::npos) fail(line, "expected `base64 rank`");
    const TokenId rank = parse_rank(row.substr(space + 1), line);
    const uint64_t begin = decoded.size();
    append_base64(row.substr(0, space), line, decoded);
    if (decoded.size() == begin) fail(line, "the token is empty");
    if (rank >= of_rank.size()) of_rank.resize(rank + 1, {0, 0});
    if (of_rank[rank].second != 0) fail(line, "the rank occurs twice");
    of_rank[rank] = {begin, decoded.size()};
  }
  TokenTable table;
  table.bytes.reserve(decoded.size());
  table.offsets.reserve(of_rank.size() + 1);
  table.offsets.push_back(0);
  for (const auto& [begin, end] : of_rank) {
    table.bytes.append(decoded, begin, end - begin);
    table.offsets.push_back(table.bytes.size());
  }
  return table;
}

}  // namespace tokenmill
