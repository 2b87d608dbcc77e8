#include "batch.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <arrow/vendored/xxhash/xxhash.h>

#include "utf8.h"

namespace tokenmill {

namespace {

// How often any of `needles` occurs in `text`, overlaps counted.
size_t count_occurrences(std::string_view text, const std::vector<std::string>& needles) {
  // Needles that start alike share a scan; published ones nearly all start with '<'.
  bool seen[256] = {};
  size_t count = 0;
  for (const std::string& first : needles) {
    const char start = first[0];
    if (seen[uint8_t(start)]) continue;
    seen[uint8_t(start)] = true;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end && (at = static_cast<const char*>(std::memchr(at, start, size_t(end - at))))) {
      const std::string_view rest(at, size_t(end - at));
      for (const std::string& needle : needles)
        if (rest.substr(0, needle.size()) == needle) ++count;
      ++at;
    }
  }
  return count;
}

// The documents [first, last) on their way through one lane.
class Feed {
 public:
  Feed(const Documents& documents, size_t first, size_t last, std::optional<TokenId> begin,
       std::optional<TokenId> end, const Findings& found, TokenBuffer& out)
      : documents_(documents), next_(first), last_(last), begin_(begin), end_(end), found_(found),
        out_(out) {}

  // Puts the next document with text into the lane, when the lane has none left.
  void refill(Lane& lane) {
    if (lane.at < lane.end) return;
    if (open_ && end_) out_.push_back(*end_);
    open_ = false;
    for (; next_ < last_ && !open_; ++next_) {
      found_.token_at[next_] = int64_t(out_.size());
      std::string_view document = documents_[next_];
      if (document.empty() || !found_.is_valid[next_]) continue;
      if (document.data() + document.size() + kPaddingBytes >
          documents_.data.data() + documents_.data.size()) {
        padded_.assign(document);
        padded_.append(kPaddingBytes, '\0');
        document = {padded_.data(), document.size()};
      }
      open_ = true;
      if (begin_) out_.push_back(*begin_);
      lane.piece_end = {};
      lane.at = reinterpret_cast<const uint8_t*>(document.data());
      lane.end = lane.at + document.size();
    }
  }

 private:
  const Documents& documents_;
  size_t next_, last_;
  const std::optional<TokenId> begin_, end_;
  const Findings& found_;
  TokenBuffer& out_;
  bool open_ = false;   // the lane's document still needs its end
  std::string padded_;  // a document too near the end of the data to read behind it
};

}  // namespace

void encode_documents(const Documents& documents, const std::vector<std::string>& special_texts,
                      std::optional<TokenId> begin, std::optional<TokenId> end, Encoder& encoder,
                      const Findings& found, TokenBuffer& tokens) {
  for (size_t i = 0; i < documents.count; ++i) {
    const std::string_view document = documents[i];
    found.text_hash[i] = XXH3_64bits(document.data(), document.size());
    found.is_valid[i] = is_valid_utf8(document);
    found.special_texts[i] =
        found.is_valid[i] ? uint32_t(count_occurrences(document, special_texts)) : 0;
  }
  const int64_t* const offsets = documents.offsets;
  const int64_t middle = offsets[0] + (offsets[documents.count] - offsets[0]) / 2;
  const auto half =
      size_t(std::lower_bound(offsets, offsets + documents.count, middle) - offsets);
  TokenBuffer second;
  tokens.reserve(size_t(offsets[documents.count] - offsets[0]) / 4 + 1024);
  Lane a, b;
  Feed a_feed(documents, 0, half, begin, end, found, tokens);
  Feed b_feed(documents, half, documents.count, begin, end, found, second);
  for (;;) {
    a_feed.refill(a);
    b_feed.refill(b);
    if (a.at == a.end && b.at == b.end) break;
    encoder.encode_blocks(a, tokens, b, second);
  }
  const size_t first_ids = tokens.size();
  for (size_t i = half; i < documents.count; ++i) found.token_at[i] += int64_t(first_ids);
  if (second.size())
    tokens.set_end(std::copy_n(second.data(), second.size(), tokens.reserve(second.size())));
  found.token_at[documents.count] = int64_t(tokens.size());
}

}  // namespace tokenmill
