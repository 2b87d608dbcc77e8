// Added tokens: whole texts that are cut out of a document before anything else looks at it.
//
//   "a<think>b\n\n"   ──►   | a | <think> | b | \n\n |     segments: text, id, text, id
//
// As tokenizers has it, the leftmost match counts, of several there the longest, and matches do not
// overlap. A `plain` token is found like the others, so that it is counted and hides what overlaps
// it, but stays text: nothing in a document can become a special token.
//
// Levels: the second looks at what the first has left over, and so on.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tokenmill {

// Text cut into segments, one after the other without gaps: segment i is offsets[i]:offsets[i + 1].
struct Segments {
  static constexpr int32_t kText = -1, kNothing = -2;  // kNothing gives no ids
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> kinds;  // kText, kNothing, or the id of an added token
  void add(size_t bytes, int32_t kind) {
    offsets.push_back(offsets.back() + int64_t(bytes));
    kinds.push_back(kind);
  }
};

class AddedTokens {
 public:
  struct Token {
    std::string text;
    int32_t id;
    bool plain;
  };
  // Throws std::invalid_argument when a text is empty or occurs twice.
  explicit AddedTokens(std::vector<Token> tokens);
  // Cuts `text` by levels[level] and the later ones; returns how many plain tokens there are.
  static size_t cut(const std::vector<AddedTokens>& levels, size_t level, std::string_view text,
                    Segments& out);

 private:
  struct Start {
    char byte;
    size_t first, last;  // the tokens that begin with it
    std::bitset<256> seconds;  // what follows it in one of them
  };
  // The longest token that `text` begins with, or nullptr.
  const Token* longest(const Start& start, std::string_view text) const;

  std::vector<Token> tokens_;    // ascending
  std::vector<size_t> shorter_;  // the longest token that begins this one, plus one; or 0
  std::vector<Start> starts_;
};

}  // namespace tokenmill
