#include "encoder.h"

#include <algorithm>
#include <cstring>

namespace tokenmill {

Encoder::Encoder(const Model& model)
    : model_(model),
      merger_(model.vocabulary, model.seams),
      cache_(model.cache_bytes) {
  // A word that is one token needs no merging. The smaller ids are the more frequent ones and go
  // last, in front of others in their sets.
  for (TokenId id = TokenId(model.vocabulary.size()); id-- > 0;) {
    const std::string_view token = model.vocabulary.bytes_of(id);
    if (token.empty()) continue;
    TokenId ids[8] = {id};
    const TokenSpan tokens{ids, model.vocabulary.publish(ids, 1)};
    if (tokens.count == 0) continue;
    if (token.size() > ShortKey::kMaxBytes || tokens.count > PretokenCache::kInlineIds) {
      cache_.insert(token, PretokenCache::hash_of(token), tokens);
      continue;
    }
    const ShortKey key = ShortKey::of(token);
    cache_.make_hot({key, nullptr, uint32_t(token.size()), key.short_hash()}, {key, tokens});
  }
}

void Encoder::encode(std::string_view text, TokenBuffer& out) {
  for (Rest rest(text); rest.at < rest.end;) {
    model_.split.cut(rest, cache_, block_);
    find_hot();
    find_missing();
    write(out);
    remember_missing();
  }
}

std::vector<Encoder::Inspected> Encoder::inspect(std::string_view text) {
  std::vector<Inspected> pretokens;
  for (Rest rest(text); rest.at < rest.end;) {
    model_.split.cut(rest, cache_, block_);
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

void Encoder::find_hot() {
  const size_t count = block_.count;
  size_t missing = 0;
  for (size_t i = 0; i < count; ++i) {
    const Pretoken& pretoken = block_.pretokens[i];
    const PretokenCache::Entry* const entry = cache_.hot(pretoken);
    found_[i] = entry;
    missing_at_[missing] = uint16_t(i);
    missing += !(entry->key == pretoken.key);
  }
  missing_count_ = missing;
}

void Encoder::find_missing() {
  Missing* const end = missing_ + missing_count_;
  const uint16_t* i = missing_at_;
  for (Missing* missing = missing_; missing < end; ++missing, ++i) {
    missing->pretoken = &block_.pretokens[*i];
    missing->found = &found_[*i];
    missing->hash = PretokenCache::hash_of(*missing->pretoken);
    cache_.prefetch_bucket(missing->hash);
  }
  for (const Missing* missing = missing_; missing < end; ++missing)
    cache_.prefetch_record(missing->hash);
  size_t unknown = 0;
  for (Missing* missing = missing_; missing < end; ++missing) {
    const std::string_view text = missing->pretoken->text();
    missing->tokens = cache_.find(text, missing->hash);
    missing->unknown = kKnown;
    if (missing->tokens.count) continue;
    uint16_t& recent = recent_[missing->hash % std::size(recent_)];
    if (recent >= unknown || unknown_[recent] != text) {
      recent = uint16_t(unknown);
      unknown_[unknown++] = text;
    }
    missing->unknown = recent;
  }
  merger_.merge(unknown_, unknown, merged_);
  for (Missing* missing = missing_; missing < end; ++missing) {
    if (missing->unknown != kKnown) missing->tokens = merged_[missing->unknown];
    missing->entry = PretokenCache::Entry(missing->pretoken->key, missing->tokens);
    *missing->found = &missing->entry;
  }
}

void Encoder::write(TokenBuffer& out) const {
  // Every pretoken stores as many ids as an entry has room for, and moves on by its count.
  constexpr size_t kRoom = kBlockPretokens * PretokenCache::kInlineIds + 1;
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
      at = std::copy_n(tokens.ids, tokens.count, &out[size]);
    }
  }
  out.resize(size_t(at - out.data()));
}

// Only when the ids are written: what the cache forgets for it may be theirs. Hot ones first, for the
// same reason.
void Encoder::remember_missing() {
  const Missing* const end = missing_ + missing_count_;
  for (const Missing* missing = missing_; missing < end; ++missing)
    if (missing->unknown == kKnown && missing->pretoken->is_short())
      cache_.make_hot(*missing->pretoken, missing->entry);
  uint16_t next = 0;  // of unknown_: the first of several that are the same
  for (const Missing* missing = missing_; missing < end; ++missing) {
    if (missing->unknown != next) continue;
    cache_.insert(unknown_[next], missing->hash, missing->tokens);
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
