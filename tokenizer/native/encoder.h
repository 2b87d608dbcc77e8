// Text to token ids: the split, the cache and the merges put together.
//
//   document ─► split into blocks of 256 pretokens       split.h
//            ─► key and hash of each, prefetch its set   pretoken_cache.h
//            ─► look each up; what is missing is merged  merge.h
//
// The three phases of a block are loops of their own, so that the cache misses of many pretokens
// are under way at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "merge.h"
#include "pretoken_cache.h"
#include "split.h"
#include "split_table.h"
#include "vocabulary.h"

namespace tokenmill {

// A growing array of ids that does not clear what it allocates.
class TokenBuffer {
 public:
  TokenBuffer() = default;
  ~TokenBuffer() { std::free(data_); }
  TokenBuffer(const TokenBuffer&) = delete;
  TokenBuffer& operator=(const TokenBuffer&) = delete;
  // Room for `more` ids behind the end; returns where they go.
  TokenId* reserve(size_t more) {
    if (size_ + more > capacity_) grow(size_ + more);
    return data_ + size_;
  }
  void set_end(const TokenId* end) { size_ = size_t(end - data_); }
  void push_back(TokenId id) {
    *reserve(1) = id;
    ++size_;
  }
  const TokenId* data() const { return data_; }
  size_t size() const { return size_; }
  // Gives the memory away; the caller frees it with std::free.
  TokenId* release() {
    TokenId* data = data_;
    data_ = nullptr;
    size_ = capacity_ = 0;
    return data;
  }

 private:
  void grow(size_t needed);
  TokenId* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

// What every thread shares; immutable once built.
struct Model {
  Vocabulary vocabulary;
  TokenTrie trie;
  SplitTable split;
  std::vector<std::string> special_texts;  // non-empty
  size_t cache_bytes;                      // of each encoder
};

// One thread's working memory.
class Encoder {
 public:
  explicit Encoder(const Model& model);

  // Appends the ids of one document: valid UTF-8 of less than 4 GiB with kPaddingBytes readable
  // bytes behind it.
  void encode(std::string_view document, TokenBuffer& out);

  // Cuts blocks off both lanes and appends the ids of each to its own buffer; see SplitLanes.
  void encode_blocks(Lane& a, TokenBuffer& a_out, Lane& b, TokenBuffer& b_out);

 private:
  void look_up(const Block& block, TokenBuffer& out);
  // Appends a pretoken of more than kMaxShortBytes; returns the new end.
  TokenId* look_up_long(std::string_view pretoken, TokenBuffer& out);

  const Model& model_;
  const SplitLanes split_lanes_;
  Merger merger_;
  PretokenCache cache_;
  ShortKey keys_[kBlockPretokens];
  uint64_t hashes_[kBlockPretokens];
};

// Encoders to borrow: as many as there ever are threads at once, so each thread finds a warm one.
//
// binding.cc begins and ends each loan with the GIL held. A fork holds it too, so that a child never
// waits for a mutex that was locked by a thread it does not have.
class EncoderPool {
 public:
  explicit EncoderPool(const Model& model) : model_(model) {}
  class Loan {
   public:
    explicit Loan(EncoderPool& pool);
    ~Loan();
    Encoder* operator->() { return &**this; }
    Encoder& operator*();  // makes one where none was idle

   private:
    EncoderPool& pool_;
    std::unique_ptr<Encoder> encoder_;
  };

 private:
  const Model& model_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Encoder>> idle_;
};

}  // namespace tokenmill
