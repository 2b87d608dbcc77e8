// Text to token ids: the split, the cache and the merges put together.
//
//   text       ─► blocks of pretokens: key and hash of each, prefetch its set    split.h
//   each block ─► in its set? else prefetch bucket, then record                    pretoken_cache.h
//              ─► known? else merge all that are unseen, each once              merge.h
//              ─► ids, in order
//              ─► remember what was merged, and in the sets what was only known
//
// Each step is a loop over the block, so that the cache misses of many pretokens are under way at
// the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "merge.h"
#include "pretoken_cache.h"
#include "split.h"
#include "token_buffer.h"
#include "vocabulary.h"

namespace tokenmill {

// What every thread shares; immutable once built.
struct Model {
  const Vocabulary& vocabulary;
  MergeBoundaries boundaries;
  Split split;
  size_t cache_bytes;  // of each encoder
};

// One thread's working memory.
class Encoder {
 public:
  explicit Encoder(const Model& model);

  // Appends the ids of a text; see Cursor for what is asked of it.
  void encode(std::string_view text, TokenBuffer& out);

  // Where each pretoken of a text begins and ends, and its ids; for people to look at.
  using Inspected = std::tuple<size_t, size_t, std::vector<TokenId>>;
  std::vector<Inspected> inspect(std::string_view text);

 private:
  // Each is a loop over the block, or over the missing ones.
  void find_in_sets();
  void find_in_records();
  void write(TokenBuffer& out) const;
  void remember_misses();

  // A pretoken that is not in its set, and its tokens as an entry would have them.
  struct Miss {
    PretokenCache::Entry entry;
    const Pretoken* pretoken;
    const PretokenCache::Entry** found;
    uint64_t hash;
    TokenSpan tokens;
    uint16_t unseen;  // where in unseen_ it is, or kSeen
  };
  static constexpr uint16_t kSeen = 0xFFFF;

  const Model& model_;
  Merger merger_;
  PretokenCache cache_;
  Block block_;
  const PretokenCache::Entry* found_[kBlockPretokens];  // what is known of each in the block
  Miss misses_[kBlockPretokens];
  uint16_t miss_at_[kBlockPretokens + 1];  // of each, where it is in the block
  size_t miss_count_ = 0;
  std::string_view unseen_[kBlockPretokens];  // each once, in the order in which they come
  uint16_t recent_[kBlockPretokens] = {};  // by the hash of a word: where in unseen_ it may be
  TokenSpan merged_[kBlockPretokens];
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
