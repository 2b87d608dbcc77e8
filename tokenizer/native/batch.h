// A batch of documents: first scanned and cut at added tokens, then encoded. Between the two the
// caller may normalize the segments that are text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "added_tokens.h"
#include "encoder.h"
#include "quick_check.h"

namespace tokenmill {

struct Documents {
  std::string_view data;
  const int64_t* offsets;  // [count + 1], checked: document i is data[offsets[i]:offsets[i + 1]]
  size_t count;
  std::string_view operator[](size_t i) const {
    return data.substr(size_t(offsets[i]), size_t(offsets[i + 1] - offsets[i]));
  }
};

// XXH3-64 of each, to hashes[count].
void hash_documents(const Documents& documents, uint64_t* hashes);

// What is found out about each document; arrays of the caller's, of its length.
struct ScanResults {
  uint32_t* special_texts;   // occurrences of plain added tokens
  bool* is_valid;            // whether it is UTF-8; without, it is one segment of kNothing
  int64_t* first_segment;    // [count + 1]; an empty document has none
};

void scan_documents(const Documents& documents, const std::vector<AddedTokens>& levels,
                    const ScanResults& found, Segments& segments);

// Documents as segments, checked: document i is the segments from first[i] to first[i + 1].
struct Segmented {
  Documents segments;
  const int32_t* kinds;  // as in Segments
  const int64_t* first;  // [count + 1]
  size_t count;
};

// Encodes all documents into `tokens`, which is empty; `begin` and `end` stand around each that has
// ids. token_at[count + 1]: where those of each begin.
void encode_documents(const Segmented& documents, std::optional<TokenId> begin,
                      std::optional<TokenId> end, Encoder& encoder, TokenBuffer& tokens,
                      int64_t* token_at);

// What else becomes of one text on its way to ids. form: the Unicode form it must be in, if any.
struct TextRoute {
  const std::vector<AddedTokens>& levels;
  const QuickCheck* form;
  std::optional<TokenId> begin, end;
};

// scan_documents and encode_documents of one text, valid UTF-8. False, and nothing done, where it may
// not be in the form between its added tokens.
bool encode_text(std::string_view text, const TextRoute& route, Encoder& encoder,
                 TokenBuffer& tokens);

}  // namespace tokenmill
