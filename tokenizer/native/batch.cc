#include "batch.h"

#include <algorithm>
#include <cstring>
#include <string>

#define XXH_INLINE_ALL
#include <arrow/vendored/xxhash/xxhash.h>

#include "utf8.h"

namespace tokenmill {

void hash_documents(const Documents& documents, uint64_t* hashes) {
  for (size_t i = 0; i < documents.count; ++i)
    hashes[i] = XXH3_64bits(documents[i].data(), documents[i].size());
}

void scan_documents(const Documents& documents, const std::vector<AddedTokens>& levels,
                    const ScanResults& found, Segments& segments) {
  segments.offsets[0] = documents.offsets[0];
  for (size_t i = 0; i < documents.count; ++i) {
    const std::string_view document = documents[i];
    found.first_segment[i] = int64_t(segments.kinds.size());
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
                      std::optional<TokenId> end, Encoder& encoder, TokenBuffer& tokens,
                      int64_t* token_at) {
  const std::string_view all = documents.segments.data;
  std::string padded;
  for (size_t i = 0; i < documents.count; ++i) {
    token_at[i] = int64_t(tokens.size());
    if (begin) tokens.push_back(*begin);
    const size_t before = tokens.size();
    for (auto at = size_t(documents.first[i]); at < size_t(documents.first[i + 1]); ++at) {
      std::string_view text = documents.segments[at];
      const int32_t kind = documents.kinds[at];
      if (kind >= 0) tokens.push_back(TokenId(kind));
      if (kind != Segments::kText || text.empty()) continue;
      if (text.data() + text.size() + kPaddingBytes > all.data() + all.size()) {
        padded.assign(text);
        padded.append(kPaddingBytes, '\0');
        text = {padded.data(), text.size()};
      }
      encoder.encode(text, tokens);
    }
    if (tokens.size() == before)  // nothing to put them around
      tokens.resize(size_t(token_at[i]));
    else if (end)
      tokens.push_back(*end);
  }
  token_at[documents.count] = int64_t(tokens.size());
}

bool encode_text(std::string_view text, const TextRoute& route, Encoder& encoder,
                 TokenBuffer& tokens) {
  Segments segments;
  AddedTokens::cut(route.levels, 0, text, segments);
  if (route.form) {
    std::vector<int64_t> bounds;
    for (size_t i = 0; i < segments.kinds.size() && bounds.empty(); ++i) {
      const int64_t from = segments.offsets[i], to = segments.offsets[i + 1];
      if (segments.kinds[i] == Segments::kText)
        route.form->find_spans(text.substr(size_t(from), size_t(to - from)), from, bounds);
    }
    if (!bounds.empty()) return false;
  }
  const int64_t first[] = {0, int64_t(segments.kinds.size())};
  int64_t token_at[2];
  encode_documents({{text, segments.offsets.data(), segments.kinds.size()}, segments.kinds.data(),
                    first, 1},
                   route.begin, route.end, encoder, tokens, token_at);
  return true;
}

}  // namespace tokenmill
