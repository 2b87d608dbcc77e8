// A batch of documents, encoded in two lanes: the first half of its bytes and the second half.
//
//   documents   0 1 2 3 | 4 5 6 7        lane a: 0 1 2 3     lane b: 4 5 6 7
//   ids         [ lane a's ids ] [ lane b's ids ]             joined at the end, in order
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "encoder.h"

namespace tokenmill {

struct Documents {
  std::string_view data;
  const int64_t* offsets;  // [count + 1], checked: document i is data[offsets[i]:offsets[i + 1]]
  size_t count;
  std::string_view operator[](size_t i) const {
    return data.substr(size_t(offsets[i]), size_t(offsets[i + 1] - offsets[i]));
  }
};

// What is found out about each document; arrays of the caller's.
struct Findings {
  int64_t* token_at;         // [count + 1]: where its ids begin
  uint64_t* text_hash;       // [count]: XXH3-64
  uint32_t* special_texts;   // [count]: occurrences of special-token text
  bool* is_valid;            // [count]: whether it is UTF-8; without, or empty, it has no ids
};

// Encodes all documents; `begin` and `end` are put around each that has ids.
void encode_documents(const Documents& documents, const std::vector<std::string>& special_texts,
                      std::optional<TokenId> begin, std::optional<TokenId> end, Encoder& encoder,
                      const Findings& found, TokenBuffer& tokens);

}  // namespace tokenmill
