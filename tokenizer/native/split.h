// Cuts a document into blocks of pretokens by a SplitTable.
#pragma once

#include <cstddef>
#include <cstdint>

#include "split_table.h"

namespace tokenmill {

constexpr size_t kBlockPretokens = 256;
constexpr size_t kPaddingBytes = 32;  // readable bytes needed behind a document

struct Block {
  size_t count;
  const uint8_t* begin[kBlockPretokens];
  uint32_t bytes[kBlockPretokens];
};

// Fills `block` with the pretokens from `at` on, at most kBlockPretokens of them; returns where
// the next block begins (`end` when the document is done). `at < end`; the text is valid UTF-8 of
// less than 4 GiB with kPaddingBytes readable bytes behind `end`; the table covers all text.
using SplitBlock = const uint8_t* (*)(const SplitTable& table, const uint8_t* at,
                                      const uint8_t* end, Block& block);

// The fastest split for this processor. With TOKENMILL_PLAIN=1 in the environment: the one without
// special instructions, for tests.
SplitBlock choose_split();
const char* split_name(SplitBlock split);

}  // namespace tokenmill
