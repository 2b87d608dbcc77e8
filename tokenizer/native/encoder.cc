#include "encoder.h"

#include <algorithm>
#include <cstring>

namespace tokenmill {

Encoder::Encoder(const Model& model)
    : model_(model),
      merger_(model.vocabulary, model.boundaries),
      cache_(model.cache_bytes) {
  // A word that is one token needs no merging. The smaller ids are the more frequent ones and go
  // last, in front of others in their sets.
  for (TokenId id = TokenId(model.vocabulary.size()); id-- > 0;) {
    const std::string_view token = model.vocabulary.bytes_of(id);
    if (token.empty()) continue;
    TokenId ids[8] = {id};
    const TokenSpan tokens{ids, model.vocabulary.to_external(ids, 1)};
    if (tokens.count == 0) continue;
    if (token.size() > ShortKey::kMaxBytes || tokens.count > PretokenCache::kInlineIds) {
      cache_.insert(token, PretokenCache::hash_of(token), tokens);
      continue;
    }
    const ShortKey key = ShortKey::of(token);
    cache_.insert_in_set({key, nullptr, uint32_t(token.size()), key.short_hash()}, {key, tokens});
  }
}

void Encoder::encode(std::string_view text, TokenBuffer& out) {
  for (Cursor cursor(text); cursor.at < cursor.end;) {
    model_.split.cut(cursor, cache_, block_);
    find_in_sets();
    find_in_records();
    write(out);
    remember_misses();
  }
}

std::vector<Encoder::Inspected> Encoder::inspect(std::string_view text) {
  std::vector<Inspected> pretokens;
  for (Cursor cursor(text); cursor.at < cursor.end;) {
    model_.split.cut(cursor, cache_, block_);
    for (size_t i = 0; i < block_.count; ++i) {
      const std::string_view pretoken = block_.pretokens[i].text();
      TokenSpan tokens;
      merger_.merge(&pretoken, 1, &tokens);
      const auto begin = size_t(pretoken.data() - text.data());
      pretokens.push_back({begin, begin + pretoken.size(), {tokens.ids, tokens.ids + tokens.count}});
    }
  }
  return pretokens;
}

// Nothing is decided by a branch: whether a word is in its set can not be foreseen. Of the others only
// their place in the block is noted.
void Encoder::find_in_sets() {
  const size_t count = block_.count;
  size_t misses = 0;
  for (size_t i = 0; i < count; ++i) {
    const Pretoken& pretoken = block_.pretokens[i];
    const PretokenCache::Entry* const entry = cache_.find_in_set(pretoken);
    found_[i] = entry;
    miss_at_[misses] = uint16_t(i);
    misses += !(entry->key == pretoken.key);
  }
  miss_count_ = misses;
}

// Three loops, so that the lines of many buckets, and then of many records, are on their way at once. A
// word that is new is merged once a block: a third of the new words of code come again in theirs.
void Encoder::find_in_records() {
  Miss* const end = misses_ + miss_count_;
  const uint16_t* i = miss_at_;
  for (Miss* miss = misses_; miss < end; ++miss, ++i) {
    miss->pretoken = &block_.pretokens[*i];
    miss->found = &found_[*i];
    miss->hash = PretokenCache::hash_of(*miss->pretoken);
    cache_.prefetch_bucket(miss->hash);
  }
  for (const Miss* miss = misses_; miss < end; ++miss)
    cache_.prefetch_record(miss->hash);
  size_t unseen = 0;
  for (Miss* miss = misses_; miss < end; ++miss) {
    const std::string_view text = miss->pretoken->text();
    miss->tokens = cache_.find(text, miss->hash);
    miss->unseen = kSeen;
    if (miss->tokens.count) continue;
    uint16_t& recent = recent_[miss->hash % std::size(recent_)];
    if (recent >= unseen || unseen_[recent] != text) {
      recent = uint16_t(unseen);
      unseen_[unseen++] = text;
    }
    miss->unseen = recent;
  }
  merger_.merge(unseen_, unseen, merged_);
  for (Miss* miss = misses_; miss < end; ++miss) {
    if (miss->unseen != kSeen) miss->tokens = merged_[miss->unseen];
    miss->entry = PretokenCache::Entry(miss->pretoken->key, miss->tokens);
    *miss->found = &miss->entry;
  }
}

void Encoder::write(TokenBuffer& out) const {
  // Every pretoken stores as many ids as an entry has room for, and moves on by its count.
  constexpr size_t kRoom = kBlockPretokens * PretokenCache::kInlineIds + 1;
  constexpr size_t kAtOnce = 4;  // see TokenSpan; a call of memmove takes longer than a few copies
  size_t size = out.size();
  out.resize(size + kRoom);
  TokenId* at = &out[size];
  for (size_t i = 0; i < block_.count; ++i) {
    const PretokenCache::Entry& entry = *found_[i];
    if (entry.is_inline()) {
      entry.copy_inline(at);
      at += entry.count();
    } else {
      const TokenSpan tokens = entry.many();
      size = size_t(at - out.data());
      out.resize(size + tokens.count + kRoom);
      at = &out[size];
      for (size_t k = 0; k < tokens.count; k += kAtOnce)
        std::memcpy(at + k, tokens.ids + k, kAtOnce * sizeof *at);
      at += tokens.count;
    }
  }
  out.resize(size_t(at - out.data()));
}

// Only when the ids are written: what the cache forgets for it may be theirs. The sets first, for the
// same reason.
void Encoder::remember_misses() {
  const Miss* const end = misses_ + miss_count_;
  for (const Miss* miss = misses_; miss < end; ++miss)
    if (miss->unseen == kSeen && miss->pretoken->is_short())
      cache_.insert_in_set(*miss->pretoken, miss->entry);
  uint16_t next = 0;  // of unseen_: the first of several that are the same
  for (const Miss* miss = misses_; miss < end; ++miss) {
    if (miss->unseen != next) continue;
    cache_.insert(unseen_[next], miss->hash, miss->tokens);
    ++next;
  }
}

EncoderPool::Loan::Loan(EncoderPool& pool) : pool_(pool) {
  const std::lock_guard<std::mutex> lock(pool.mutex_);
  if (pool.idle_.empty()) return;
  encoder_ = std::move(pool.idle_.back());
  pool.idle_.pop_back();
}

Encoder& EncoderPool::Loan::operator*() {
  if (!encoder_) encoder_ = std::make_unique<Encoder>(pool_.model_);
  return *encoder_;
}

EncoderPool::Loan::~Loan() {
  if (!encoder_) return;
  const std::lock_guard<std::mutex> lock(pool_.mutex_);
  pool_.idle_.push_back(std::move(encoder_));
}

}  // namespace tokenmill
