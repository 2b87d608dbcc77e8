#include "encoder.h"

#include <algorithm>
#include <cstring>

namespace tokenmill {

void TokenBuffer::grow(size_t needed) {
  const size_t capacity = std::max(needed, capacity_ + capacity_ / 2 + 1024);
  auto* data = static_cast<TokenId*>(std::realloc(data_, capacity * sizeof(TokenId)));
  if (!data) throw std::bad_alloc();
  data_ = data;
  capacity_ = capacity;
}

Encoder::Encoder(const Model& model)
    : model_(model),
      split_lanes_(choose_split()),
      merger_(model.vocabulary, model.seams),
      cache_(model.cache_bytes) {
  // A word that is one token is never merged.
  for (TokenId id = 0; id < model.vocabulary.size(); ++id) {
    const std::string_view token = model.vocabulary.bytes_of(id);
    if (token.empty() || token.size() > PretokenCache::kMaxBytes) continue;
    cache_.insert(token, PretokenCache::hash_of(token), {&id, 1});
  }
}

void Encoder::encode(std::string_view document, TokenBuffer& out) {
  Lane lane, idle;
  lane.at = reinterpret_cast<const uint8_t*>(document.data());
  lane.end = lane.at + document.size();
  while (lane.at < lane.end) encode_blocks(lane, out, idle, out);
}

void Encoder::encode_blocks(Lane& a, TokenBuffer& a_out, Lane& b, TokenBuffer& b_out) {
  split_lanes_(model_.split, a, b);
  if (a.block.count) look_up(a.block, a_out);
  if (b.block.count) look_up(b.block, b_out);
}

void Encoder::look_up(const Block& block, TokenBuffer& out) {
  for (size_t i = 0; i < block.count; ++i) {
    // No entry has the key of a long pretoken.
    const ShortKey key = block.bytes[i] <= ShortKey::kMaxBytes
                             ? ShortKey::of(block.begin[i], block.bytes[i])
                             : ShortKey{0, ~uint64_t{0}};
    pretokens_[i] = {key, key.hash()};
    cache_.prefetch_hot(pretokens_[i].hash);
  }
  missing_count_ = 0;
  for (size_t i = 0; i < block.count; ++i) {
    const PretokenCache::Entry& entry = cache_.hot(pretokens_[i].key, pretokens_[i].hash);
    tokens_[i] = {entry.ids, entry.count};
    if (!(entry.key == pretokens_[i].key)) missing_[missing_count_++] = i;
  }
  if (missing_count_) look_up_missing(block);
  size_t count = 0;
  for (size_t i = 0; i < block.count; ++i) count += tokens_[i].count;
  TokenId* at = out.reserve(count + PretokenCache::kInlineIds);
  for (size_t i = 0; i < block.count; ++i) {
    const TokenSpan tokens = tokens_[i];
    std::memcpy(at, tokens.ids, PretokenCache::kInlineIds * sizeof(TokenId));
    if (tokens.count > PretokenCache::kInlineIds) std::copy_n(tokens.ids, tokens.count, at);
    at += tokens.count;
  }
  out.set_end(at);
  if (missing_count_) remember(block);
}

void Encoder::look_up_missing(const Block& block) {
  const auto text = [&block](size_t i) {
    return std::string_view(reinterpret_cast<const char*>(block.begin[i]), block.bytes[i]);
  };
  for (size_t j = 0; j < missing_count_; ++j) {
    const size_t i = missing_[j];
    if (block.bytes[i] > ShortKey::kMaxBytes && block.bytes[i] <= PretokenCache::kMaxBytes)
      pretokens_[i].hash = PretokenCache::hash_of(text(i));
    cache_.prefetch_bucket(pretokens_[i].hash);
  }
  for (size_t j = 0; j < missing_count_; ++j) cache_.prefetch_record(pretokens_[missing_[j]].hash);
  unknown_count_ = 0;
  known_ids_.clear();
  for (size_t j = 0; j < missing_count_; ++j) {
    const size_t i = missing_[j];
    const PretokenCache::Record record = cache_.find(text(i), pretokens_[i].hash);
    if (!record.count) {
      unknown_texts_[unknown_count_] = text(i);
      unknown_[unknown_count_++] = i;
    }
    // As a position: the ids may still move.
    tokens_[i] = {nullptr, record.count};
    known_ids_.resize(known_ids_.size() + record.count);
    TokenId* const ids = known_ids_.data() + known_ids_.size() - record.count;
    for (size_t k = 0; k < record.count; ++k) {
      uint32_t word;
      std::memcpy(&word, record.ids + 3 * k, sizeof word);
      ids[k] = word & 0xFFFFFF;
    }
  }
  known_ids_.resize(known_ids_.size() + PretokenCache::kInlineIds);
  const TokenId* ids = known_ids_.data();
  for (size_t j = 0; j < missing_count_; ++j) {
    tokens_[missing_[j]].ids = ids;
    ids += tokens_[missing_[j]].count;
  }
  if (!unknown_count_) return;
  merger_.merge(unknown_texts_, unknown_count_, unknown_tokens_);
  for (size_t j = 0; j < unknown_count_; ++j) tokens_[unknown_[j]] = unknown_tokens_[j];
}

// Only now: a hot set that is written may hold ids of this block.
void Encoder::remember(const Block& block) {
  size_t u = 0;
  for (size_t j = 0; j < missing_count_; ++j) {
    const size_t i = missing_[j];
    const bool is_unknown = u < unknown_count_ && unknown_[u] == i;
    if (is_unknown) {
      if (block.bytes[i] <= PretokenCache::kMaxBytes)
        cache_.insert(unknown_texts_[u], pretokens_[i].hash, tokens_[i]);
      ++u;
    } else if (block.bytes[i] <= ShortKey::kMaxBytes &&
               tokens_[i].count <= PretokenCache::kInlineIds) {
      cache_.make_hot(pretokens_[i].key, pretokens_[i].hash, tokens_[i]);
    }
  }
}

EncoderPool::Loan::Loan(EncoderPool& pool) : pool_(pool) {
  {
    const std::lock_guard<std::mutex> lock(pool.mutex_);
    if (!pool.idle_.empty()) {
      encoder_ = std::move(pool.idle_.back());
      pool.idle_.pop_back();
    }
  }
  if (!encoder_) encoder_ = std::make_unique<Encoder>(pool.model_);
}

EncoderPool::Loan::~Loan() {
  const std::lock_guard<std::mutex> lock(pool_.mutex_);
  pool_.idle_.push_back(std::move(encoder_));
}

}  // namespace tokenmill
