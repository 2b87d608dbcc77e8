// What the engine has to give, written to be read: nothing here is fast, and nothing of the engine
// is used. The split is the scan that tokenizer/split/table.py specifies, the merge the definition
// in tokenizer/reference.py.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// A compiled split pattern as tables.py writes it.
struct TableData {
  const char* name;
  const uint16_t* page_of;
  const uint8_t* pages;
  size_t pages_bytes;
  const uint16_t* transitions;
  size_t states, columns;
  // What the engine cuts by, and the oracle does not look at.
  const uint8_t *group_of, *verdicts;
  unsigned max_run;
};

namespace oracle {

// One of the cuts that are made one after the other, as tokenizer/split/stages.py has them.
enum Behavior : uint8_t { kRemoved, kIsolated, kContiguous, kMergedWithPrevious, kMergedWithNext };
struct Stage {
  const TableData* table;
  Behavior behavior = kIsolated;
  bool invert = false;
  bool on_bytes = false;  // each byte is a character
};

using Ids = std::map<std::string, uint32_t, std::less<>>;

struct Character {
  uint32_t code_point;
  size_t at;  // its first byte
};

// The characters of `text`; false where it is not UTF-8.
inline bool decode(std::string_view text, std::vector<Character>& out) {
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  for (size_t at = 0; at < text.size();) {
    const auto lead = uint8_t(text[at]);
    const size_t bytes = lead < 0x80    ? 1
                         : lead >> 5 == 6   ? 2
                         : lead >> 4 == 14  ? 3
                         : lead >> 3 == 30 ? 4
                                            : 0;
    if (bytes == 0 || at + bytes > text.size()) return false;
    uint32_t code_point = bytes == 1 ? lead : lead & (0x7Fu >> bytes);
    for (size_t i = 1; i < bytes; ++i) {
      const auto tail = uint8_t(text[at + i]);
      if (tail >> 6 != 2) return false;
      code_point = code_point << 6 | (tail & 63u);
    }
    if (code_point < kSmallest[bytes] || code_point > 0x10FFFF || code_point >> 11 == 27)
      return false;  // overlong, too large, or a surrogate
    out.push_back({code_point, at});
    at += bytes;
  }
  return true;
}

// A match, or the characters in a row at which none begins.
struct Segment {
  std::string_view text;
  bool is_match;
};

inline std::vector<Segment> segments(const TableData& table, std::string_view text, bool on_bytes) {
  std::vector<Character> characters;
  if (on_bytes)
    for (size_t at = 0; at < text.size(); ++at) characters.push_back({uint8_t(text[at]), at});
  else
    decode(text, characters);
  const auto between = [&](size_t from, size_t to) {
    const size_t end = to < characters.size() ? characters[to].at : text.size();
    return text.substr(characters[from].at, end - characters[from].at);
  };
  std::vector<Segment> found;
  size_t gap = 0;
  for (size_t start = 0; start < characters.size();) {
    size_t stop = 0, state = 1;
    for (size_t position = start; state != 0; ++position) {
      size_t column = table.columns - 1;
      if (position < characters.size()) {
        const uint32_t code_point = characters[position].code_point;
        column = table.pages[table.page_of[code_point >> 8] * size_t{256} + (code_point & 255)];
      }
      const uint16_t entry = table.transitions[state * table.columns + column];
      if (entry & 0x8000) stop = position;
      state = entry & 0x7FFF;
    }
    if (stop == 0) {
      ++start;
      continue;
    }
    if (gap < start) found.push_back({between(gap, start), false});
    found.push_back({between(start, stop), true});
    start = gap = stop;
  }
  if (gap < characters.size()) found.push_back({between(gap, characters.size()), false});
  return found;
}

// The pieces that one stage makes of one.
inline std::vector<std::string_view> cut(const Stage& stage, std::string_view text) {
  std::vector<std::string_view> pieces;
  bool after_match = false, is_first = true;
  for (const Segment& segment : segments(*stage.table, text, stage.on_bytes)) {
    const bool is_match = segment.is_match != stage.invert;
    const bool joins =
        !is_first && ((stage.behavior == kContiguous && is_match == after_match) ||
                      (stage.behavior == kMergedWithPrevious && is_match && !after_match) ||
                      (stage.behavior == kMergedWithNext && !is_match && after_match));
    if (joins)
      pieces.back() = {pieces.back().data(), pieces.back().size() + segment.text.size()};
    else if (stage.behavior != kRemoved || !is_match)
      pieces.push_back(segment.text);
    after_match = is_match;
    is_first = false;
  }
  return pieces;
}

// The pretokens of valid UTF-8.
inline std::vector<std::string_view> split(const std::vector<Stage>& stages, std::string_view text) {
  std::vector<std::string_view> pieces;
  if (!text.empty()) pieces.push_back(text);
  for (const Stage& stage : stages) {
    std::vector<std::string_view> smaller;
    for (const std::string_view piece : pieces)
      for (const std::string_view part : cut(stage, piece)) smaller.push_back(part);
    pieces = smaller;
  }
  return pieces;
}

// Appends the ids of a pretoken: its own, if it is a token; else what is left when of all adjacent
// parts whose bytes together are a token those of the lowest id, leftmost first, have been joined.
// Tokens from `merged` on are not joined.
inline void merge(const Ids& ids, size_t merged, std::string_view pretoken,
                  std::vector<uint32_t>& out) {
  constexpr uint32_t kNone = ~uint32_t{0};
  const auto id_of = [&](std::string_view bytes) {
    const auto found = ids.find(bytes);
    return found == ids.end() ? kNone : found->second;
  };
  if (id_of(pretoken) != kNone) return out.push_back(id_of(pretoken));
  std::vector<size_t> begin;  // of each part, and the end
  std::vector<uint32_t> joined;  // part i and the next one
  const auto join = [&](size_t i) {
    if (i + 2 >= begin.size()) return kNone;
    const uint32_t id = id_of(pretoken.substr(begin[i], begin[i + 2] - begin[i]));
    return id < merged ? id : kNone;
  };
  for (size_t i = 0; i <= pretoken.size(); ++i) begin.push_back(i);
  for (size_t i = 0; i < pretoken.size(); ++i) joined.push_back(join(i));
  for (;;) {
    const auto lowest = std::min_element(joined.begin(), joined.end());
    if (*lowest == kNone) break;
    const auto at = size_t(lowest - joined.begin());
    begin.erase(begin.begin() + ptrdiff_t(at) + 1);
    joined.erase(lowest);
    joined[at] = join(at);
    if (at > 0) joined[at - 1] = join(at - 1);
  }
  for (size_t i = 0; i + 1 < begin.size(); ++i)
    out.push_back(id_of(pretoken.substr(begin[i], begin[i + 1] - begin[i])));
}

// Text, and which of the needles stands after it; -1 after the last.
struct Found {
  std::string_view before;
  int needle;
};

// Where the needles are: leftmost first, of several there the longest, not overlapping.
inline std::vector<Found> find(std::string_view text, const std::vector<std::string>& needles) {
  std::vector<Found> found;
  size_t from = 0;
  for (size_t at = 0; at < text.size();) {
    int longest = -1;
    for (size_t i = 0; i < needles.size(); ++i)
      if (text.substr(at, needles[i].size()) == needles[i] &&
          (longest < 0 || needles[i].size() > needles[size_t(longest)].size()))
        longest = int(i);
    if (longest < 0) {
      ++at;
      continue;
    }
    found.push_back({text.substr(from, at - from), longest});
    from = at += needles[size_t(longest)].size();
  }
  found.push_back({text.substr(from), -1});
  return found;
}

}  // namespace oracle
