// Cuts text into blocks of pretokens.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "pretoken.h"
#include "pretoken_cache.h"
#include "split_table.h"
#include "split_windows.h"

namespace tokenmill {

// As many as the loops of an encoder take at once. 512 merge fewer new words together (English cold 297
// MB/s instead of 307), 256 fewer still; all of a block stays in L2.
constexpr size_t kBlockPretokens = 1024;
constexpr size_t kPaddingBytes = SplitWindows::kReadsAfter;  // readable bytes after a document
constexpr size_t kMaxStages = 16;

// One of the stages of a pre-tokenizer, which splits the pieces that the stage before it left;
// tokenizer/split/stages.py says what the behaviors are.
struct SplitStage {
  enum Behavior : uint8_t { kRemoved, kIsolated, kContiguous, kMergedWithPrevious, kMergedWithNext };
  SplitTable table;
  Behavior behavior;
  bool invert;    // what the table leaves out is a match, and the other way around
  bool on_bytes;  // the classes are those of bytes, not of code points
};

struct Block {
  size_t count = 0;
  Pretoken pretokens[kBlockPretokens];
};

// A text being split: what is left of it.
struct Cursor {
  // Valid UTF-8 of less than 4 GiB, with kPaddingBytes readable bytes after it.
  explicit Cursor(std::string_view text)
      : at(reinterpret_cast<const uint8_t*>(text.data())), end(at + text.size()) {}

  const uint8_t* at;
  const uint8_t* const end;
  // Where the piece ends that a stage is splitting; null before the first.
  std::array<const uint8_t*, kMaxStages> piece_end{};
};

class Split {
 public:
  // 1 to kMaxStages; windows: of the only stage, when it isolates matches in code points.
  Split(std::vector<SplitStage> stages, const std::optional<SplitWindows>& windows)
      : stages_(std::move(stages)), windows_(windows) {}

  // Cuts pretokens off until the block is full or nothing is left; what was in the block is
  // forgotten. What stages remove is in no block, so one may stay empty; characters at which no match
  // begins are a pretoken together, as far as they touch. The cache fetches what it may have on each,
  // so that it is at hand when all are looked up.
  void cut(Cursor& cursor, const PretokenCache& cache, Block& block) const;

 private:
  void cut_by_windows(Cursor& cursor, const PretokenCache& cache, Block& block) const;
  void cut_by_stages(Cursor& cursor, const PretokenCache& cache, Block& block) const;

  const std::vector<SplitStage> stages_;
  const std::optional<SplitWindows> windows_;
};

}  // namespace tokenmill
