// Where the ids of a batch are written: memory that has been used before. New pages cost more than
// the ids that are written into them.
#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "huge_pages.h"
#include "vocabulary.h"

namespace tokenmill {

using TokenBuffer = HugeVector<TokenId>;

// Buffers to take and to give back, from any thread.
class TokenBuffers {
 public:
  // An empty one.
  TokenBuffer take() {
    TokenBuffer buffer;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        buffer = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (buffer.capacity() < kUsualIds) buffer.assign(kUsualIds, 0);  // so that its pages are there
    buffer.clear();
    return buffer;
  }
  // Keeps a few, of no more than some batches' size.
  void give_back(TokenBuffer buffer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < kMaxIdle && buffer.capacity() <= kMaxIds) idle_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kUsualIds = size_t{1} << 20, kMaxIds = 4 * kUsualIds, kMaxIdle = 4;
  std::mutex mutex_;
  std::vector<TokenBuffer> idle_;
};

}  // namespace tokenmill
