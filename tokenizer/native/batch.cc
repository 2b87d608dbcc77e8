#include "batch.h"

#include <algorithm>
#include <cstring>
#include <string>

#define XXH_INLINE_ALL
#include <arrow/vendored/xxhash/xxhash.h>

#include "utf8.h"

namespace tokenmill {

namespace {

// The documents [first, last) on their way through one lane.
class Feed {
 public:
  // token_at[i]: where in `out` the ids of document i begin.
  Feed(const Segmented& documents, size_t first, size_t last, std::optional<TokenId> begin,
       std::optional<TokenId> end, int64_t* token_at, TokenBuffer& out)
      : documents_(documents), next_(first), last_(last),
        segment_(documents.first[first]), begin_(begin), end_(end), token_at_(token_at), out_(out) {
  }

  // Puts the next segment of text into the lane, when the lane has none left.
  void refill(Lane& lane) {
    if (lane.at < lane.end) return;
    for (;; ++segment_) {
      while (segment_ == documents_.first[next_]) {  // the document before is complete
        if (open_ && end_) out_.push_back(*end_);
        open_ = false;
        if (next_ == last_) return;
        token_at_[next_] = int64_t(out_.size());
        ++next_;
      }
      const std::string_view text = documents_.segments[size_t(segment_)];
      const int32_t kind = documents_.kinds[segment_];
      if (kind == Segments::kNothing || (kind == Segments::kText && text.empty())) continue;
      if (!open_ && begin_) out_.push_back(*begin_);
      open_ = true;
      if (kind == Segments::kText) {
        fill(lane, text);
        ++segment_;
        return;
      }
      out_.push_back(TokenId(kind));
    }
  }

 private:
  void fill(Lane& lane, std::string_view text) {
    const std::string_view all = documents_.segments.data;
    if (text.data() + text.size() + kPaddingBytes > all.data() + all.size()) {
      padded_.assign(text);
      padded_.append(kPaddingBytes, '\0');
      text = {padded_.data(), text.size()};
    }
    lane.piece_end = {};
    lane.at = reinterpret_cast<const uint8_t*>(text.data());
    lane.end = lane.at + text.size();
  }

  const Segmented& documents_;
  size_t next_, last_;  // next_: the document that begins where its first segment is reached
  int64_t segment_;
  const std::optional<TokenId> begin_, end_;
  int64_t* const token_at_;
  TokenBuffer& out_;
  bool open_ = false;   // the document under way has ids
  std::string padded_;  // a segment too near the end of the data to read behind it
};

}  // namespace

void scan_documents(const Documents& documents, const std::vector<AddedTokens>& levels,
                    const Findings& found, Segments& segments) {
  segments.offsets[0] = documents.offsets[0];
  for (size_t i = 0; i < documents.count; ++i) {
    const std::string_view document = documents[i];
    found.first_segment[i] = int64_t(segments.kinds.size());
    found.text_hash[i] = XXH3_64bits(document.data(), document.size());
    found.is_valid[i] = is_valid_utf8(document);
    found.special_texts[i] = 0;
    if (found.is_valid[i])
      found.special_texts[i] = uint32_t(AddedTokens::cut(levels, 0, document, segments));
    else
      segments.add(document.size(), Segments::kNothing);
  }
  found.first_segment[documents.count] = int64_t(segments.kinds.size());
}

void encode_documents(const Segmented& documents, std::optional<TokenId> begin,
                      std::optional<TokenId> end, Encoder& encoder, int64_t* token_at) {
  const int64_t* const offsets = documents.segments.offsets;
  const size_t count = documents.count;
  const int64_t bytes = offsets[documents.segments.count] - offsets[0];
  // The document that begins at or behind the middle.
  const auto half = size_t(
      std::partition_point(
          documents.first, documents.first + count,
          [&](int64_t segment) { return offsets[segment] < offsets[0] + bytes / 2; }) -
      documents.first);
  TokenBuffer &tokens = encoder.first(), &second = encoder.second();
  tokens.clear();
  second.clear();
  Lane a, b;
  Feed a_feed(documents, 0, half, begin, end, token_at, tokens);
  Feed b_feed(documents, half, count, begin, end, token_at, second);
  for (;;) {
    a_feed.refill(a);
    b_feed.refill(b);
    if (a.at == a.end && b.at == b.end) break;
    encoder.encode_blocks(a, tokens, b, second);
  }
  for (size_t i = half; i < count; ++i) token_at[i] += int64_t(tokens.size());
  token_at[count] = int64_t(tokens.size() + second.size());
}

}  // namespace tokenmill
