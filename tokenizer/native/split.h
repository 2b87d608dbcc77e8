// Cuts text into blocks of pretokens by a SplitTable, two documents at a time.
//
// Where a pretoken ends is known some 25 cycles after where it begins, and the next one waits for
// that: one document keeps the processor half idle. Two lanes, a pretoken of each in turn, fill it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "pretoken.h"
#include "pretoken_cache.h"
#include "split_table.h"

namespace tokenmill {

constexpr size_t kBlockPretokens = 128;
constexpr size_t kPaddingBytes = 32;  // readable bytes needed behind a document

struct Block {
  size_t count;
  Pretoken pretokens[kBlockPretokens];
};

// A document being cut: what is left of it, and the pretokens last cut off.
struct Lane {
  const uint8_t* at = nullptr;
  const uint8_t* end = nullptr;
  Block block;
};

// Cuts pretokens off both lanes in turn, or off the one that has text, into their blocks (what they
// held is forgotten). Stops when a block is full or a lane that had text has none left. The cache
// fetches what it may have on each, so that it is at hand when all are looked up: making the key
// here fills the time in which the end of the next pretoken is awaited.
//
// At least one lane has text: valid UTF-8 of less than 4 GiB with kPaddingBytes readable bytes
// behind `end`. Characters at which no match begins are a pretoken together, as far as they touch.
using SplitLanes = void (*)(const SplitTable& table, const PretokenCache& cache, Lane& a, Lane& b);

// The fastest split for this processor. With TOKENMILL_PLAIN=1 in the environment: the one without
// special instructions, for tests.
SplitLanes choose_split();
const char* split_name(SplitLanes split);

}  // namespace tokenmill
