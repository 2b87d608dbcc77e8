// Where ids are written, and the memory in which a caller keeps them: the same pages, no copy.
//
//   take()      a buffer that came back, or an empty one    |ids of an earlier batch|
//   encode      pages come as ids are written               |ids ids ids ids ids ids ids|16K more|
//   fit()       pages without ids go back to the system     |ids ids ids ids ids ids ids|
//   array       the caller keeps it, or gives it back at once: then the next batch finds its pages there
//
// So kept results take the memory of their ids, and results that are thrown away no new page at all. A
// new page costs 1 us, as much as encoding a tenth of the text whose ids fill it; to copy ids out of a
// buffer that stays costs 5 to 8% more of the fastest encoding, kept or not. Pages are small ones: a
// buffer on huge pages for each batch holds two to three times the memory of its ids, and must wait
// for memory to be compacted where it is fragmented.
#pragma once

#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

#include "vocabulary.h"

namespace tokenmill {

class TokenBuffer {
 public:
  TokenBuffer() = default;
  TokenBuffer(TokenBuffer&& other) noexcept { swap(other); }
  TokenBuffer& operator=(TokenBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~TokenBuffer();

  TokenId* data() const { return ids_; }
  size_t size() const { return size_; }
  size_t ready() const { return ready_; }  // ids whose pages are there
  TokenId& operator[](size_t i) const { return ids_[i]; }
  // Forgets the ids and keeps the pages.
  void clear() {
    size_ = 0;
    came_back_ = true;
  }
  // What is added has no value yet.
  void resize(size_t size) {
    if (size > ready_) prepare(size);
    size_ = size;
  }
  void push_back(TokenId id) {
    resize(size_ + 1);
    ids_[size_ - 1] = id;
  }
  // Gives back the pages that have no ids; of a buffer that came back only when they are many.
  void fit();

 private:
  void swap(TokenBuffer& other) {
    std::swap(ids_, other.ids_);
    std::swap(size_, other.size_);
    std::swap(ready_, other.ready_);
    std::swap(capacity_, other.capacity_);
    std::swap(came_back_, other.came_back_);
  }
  void prepare(size_t size);
  void set_capacity(size_t ids);

  TokenId* ids_ = nullptr;
  size_t size_ = 0;
  size_t ready_ = 0;
  size_t capacity_ = 0;  // ids whose addresses are taken
  bool came_back_ = false;
};

// Buffers to take and to give back, from any thread.
class TokenBuffers {
 public:
  // An empty one.
  TokenBuffer take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.empty()) return {};
    TokenBuffer buffer = std::move(idle_.back());
    idle_.pop_back();
    buffer.clear();
    return buffer;
  }
  // Keeps a few, of no more than some batches' size.
  void give_back(TokenBuffer buffer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < kMaxIdle && buffer.ready() <= kMaxIds) idle_.push_back(std::move(buffer));
  }

 private:
  static constexpr size_t kMaxIds = size_t{4} << 20, kMaxIdle = 4;
  std::mutex mutex_;
  std::vector<TokenBuffer> idle_;
};

}  // namespace tokenmill
