#include "merge_runs.h"

#include <algorithm>

#include "cpu.h"

namespace tokenmill {

namespace {
constexpr size_t kMaxRuns = 64;
constexpr size_t kWorthIt = 4;  // symbols a run
}  // namespace

void RunMerger::add(std::vector<Run>& runs, TokenId id, uint32_t count) {
  if (count == 0) return;
  if (runs.empty() || runs.back().id != id)
    runs.push_back({id, count});
  else
    runs.back().count += count;
}

TOKENMILL_CLONES
size_t RunMerger::merge(const uint8_t* bytes, size_t count, TokenId* tokens) {
  if (!vocabulary_.is_in_order()) return 0;
  runs_.clear();
  for (size_t i = 0; i < count; ++i) {
    add(runs_, vocabulary_.byte_token(bytes[i]), 1);
    if (runs_.size() > std::min(kMaxRuns, i / kWorthIt + 8)) return 0;
  }
  if (runs_.size() * kWorthIt > count) return 0;
  for (;;) {
    TokenId lowest = kNoToken;
    for (size_t i = 0; i < runs_.size(); ++i) {
      const Run& run = runs_[i];
      if (run.count > 1) lowest = std::min(lowest, vocabulary_.merge(run.id, run.id));
      if (i + 1 < runs_.size()) lowest = std::min(lowest, vocabulary_.merge(run.id, runs_[i + 1].id));
    }
    if (lowest == kNoToken) break;
    const TokenId left = vocabulary_.left_part(lowest), right = vocabulary_.right_part(lowest);
    merged_.clear();
    for (size_t i = 0; i < runs_.size(); ++i) {
      const Run& run = runs_[i];
      if (run.id != left) {
        add(merged_, run.id, run.count);
      } else if (left == right) {
        add(merged_, lowest, run.count / 2);
        add(merged_, left, run.count % 2);
      } else if (i + 1 < runs_.size() && runs_[i + 1].id == right) {
        add(merged_, left, run.count - 1);
        add(merged_, lowest, 1);
        --runs_[i + 1].count;
      } else {
        add(merged_, left, run.count);
      }
    }
    runs_.swap(merged_);
  }
  TokenId* end = tokens;
  for (const Run& run : runs_) end = std::fill_n(end, run.count, run.id);
  return size_t(end - tokens);
}

}  // namespace tokenmill
