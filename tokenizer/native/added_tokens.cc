#include "added_tokens.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace tokenmill {

AddedTokens::AddedTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const Token& a, const Token& b) { return a.text < b.text; });
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& text = tokens_[i].text;
    if (text.empty() || (i && text == tokens_[i - 1].text))
      throw std::invalid_argument("an added token's text is empty or occurs twice");
    size_t before = i;  // plus one; what begins this one begins the one before it, or is it
    while (before && text.compare(0, tokens_[before - 1].text.size(), tokens_[before - 1].text))
      before = shorter_[before - 1];
    shorter_.push_back(before);
    if (starts_.empty() || starts_.back().byte != text[0]) starts_.push_back({text[0], i, i, {}});
    Start& start = starts_.back();
    start.last = i + 1;
    if (text.size() == 1)
      start.seconds.set();
    else
      start.seconds.set(uint8_t(text[1]));
  }
}

const AddedTokens::Token* AddedTokens::longest(const Start& start, std::string_view text) const {
  if (text.size() > 1 && !start.seconds[uint8_t(text[1])]) return nullptr;  // nearly always
  const auto above =
      std::upper_bound(tokens_.begin() + ptrdiff_t(start.first),
                       tokens_.begin() + ptrdiff_t(start.last), text,
                       [](std::string_view a, const Token& b) { return a < b.text; });
  // Every token that `text` begins with begins the last one that is not above `text`, or is it.
  for (size_t i = size_t(above - tokens_.begin()); i > start.first; i = shorter_[i - 1])
    if (text.substr(0, tokens_[i - 1].text.size()) == tokens_[i - 1].text) return &tokens_[i - 1];
  return nullptr;
}

size_t AddedTokens::cut(const std::vector<AddedTokens>& levels, size_t level,
                        std::string_view text, Segments& out) {
  if (text.empty()) return 0;
  if (level == levels.size()) {
    out.add(text.size(), Segments::kText);
    return 0;
  }
  const AddedTokens& self = levels[level];
  const char *at = text.data(), *done = at;
  const char* const end = at + text.size();
  std::vector<const char*> next(self.starts_.size(), nullptr);
  size_t plain = 0;
  for (;;) {
    const Start* start = nullptr;
    const char* found = end;
    for (size_t i = 0; i < next.size(); ++i) {
      if (!next[i] || next[i] < at) {
        next[i] = static_cast<const char*>(
            std::memchr(at, self.starts_[i].byte, size_t(end - at)));
        if (!next[i]) next[i] = end;
      }
      if (next[i] < found) found = next[i], start = &self.starts_[i];
    }
    if (!start) break;
    const Token* const token = self.longest(*start, {found, size_t(end - found)});
    at = found + (token ? token->text.size() : 1);
    if (token && token->plain) ++plain;
    if (!token || token->plain) continue;
    plain += cut(levels, level + 1, {done, size_t(found - done)}, out);
    out.add(token->text.size(), token->id);
    done = at;
  }
  return plain + cut(levels, level + 1, {done, size_t(end - done)}, out);
}

}  // namespace tokenmill
