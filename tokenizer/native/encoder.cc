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
      split_block_(choose_split()),
      merger_(model.vocabulary),
      cache_(model.cache_bytes) {
  // A word that is one token never misses. Backwards, because a later entry goes in front and the
  // smaller ids are the more frequent ones.
  for (auto id = TokenId(model.vocabulary.size()); id-- > 0;) {
    const std::string_view token = model.vocabulary.bytes_of(id);
    if (!token.empty() && token.size() <= PretokenCache::kMaxShortBytes)
      cache_.insert_short(ShortKey::of(token), {&id, 1});
  }
}

void Encoder::encode(std::string_view text, TokenBuffer& out) {
  const auto* at = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* const end = at + text.size();
  while (at < end) {
    at = split_block_(model_.split, at, end, block_);
    look_up(block_, out);
  }
}

void Encoder::look_up(const Block& block, TokenBuffer& out) {
  static constexpr uint64_t kAll = ~uint64_t{0};
  static constexpr struct Masks {
    uint64_t low[16], high[16];
    constexpr Masks() : low(), high() {
      for (unsigned bytes = 0; bytes < 16; ++bytes) {
        low[bytes] = bytes >= 8 ? kAll : (uint64_t{1} << 8 * bytes) - 1;
        high[bytes] = bytes <= 8 ? 0 : (uint64_t{1} << 8 * (bytes - 8)) - 1;
      }
    }
  } kMasks;
  for (size_t i = 0; i < block.count; ++i) {
    const uint32_t bytes = std::min<uint32_t>(block.bytes[i], PretokenCache::kMaxShortBytes);
    uint64_t words[2];
    std::memcpy(words, block.begin[i], sizeof words);
    keys_[i] = {words[0] & kMasks.low[bytes],
                (words[1] & kMasks.high[bytes]) | uint64_t(bytes) << 56};
    sets_[i] = uint32_t(cache_.set_of(keys_[i]));
    __builtin_prefetch(&cache_.set(sets_[i]));
  }
  // Every hit stores as many ids as an entry has room for, and moves on by its count.
  TokenId* at = out.reserve(kBlockPretokens * PretokenCache::kMaxShortTokens);
  for (size_t i = 0; i < block.count; ++i) {
    if (block.bytes[i] <= PretokenCache::kMaxShortBytes) {
      const PretokenCache::Set& set = cache_.set(sets_[i]);
      const PretokenCache::Entry* entry = &set.entries[0];
      if (!(entry->key == keys_[i])) ++entry;
      if (entry->key == keys_[i]) {
        std::memcpy(at, entry->ids, sizeof entry->ids);
        at += entry->count;
        continue;
      }
    }
    const TokenSpan tokens =
        miss({reinterpret_cast<const char*>(block.begin[i]), block.bytes[i]});
    out.set_end(at);
    at = out.reserve(tokens.count + kBlockPretokens * PretokenCache::kMaxShortTokens);
    at = std::copy_n(tokens.ids, tokens.count, at);
  }
  out.set_end(at);
}

TokenSpan Encoder::miss(std::string_view pretoken) {
  if (pretoken.size() > PretokenCache::kMaxLongBytes) return merger_.encode(pretoken);
  const uint64_t hash = PretokenCache::hash_long(pretoken);
  TokenSpan tokens = cache_.find_long(pretoken, hash);
  if (tokens.count) return tokens;
  tokens = merger_.encode(pretoken);
  if (pretoken.size() <= PretokenCache::kMaxShortBytes &&
      tokens.count <= PretokenCache::kMaxShortTokens)
    cache_.insert_short(ShortKey::of(pretoken), tokens);
  else
    cache_.insert_long(pretoken, hash, tokens);
  return tokens;
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

size_t count_occurrences(std::string_view text, const std::vector<std::string>& needles) {
  // Needles that start alike share a scan; published ones nearly all start with '<'.
  bool seen[256] = {};
  size_t count = 0;
  for (const std::string& first : needles) {
    const char start = first[0];
    if (seen[uint8_t(start)]) continue;
    seen[uint8_t(start)] = true;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end && (at = static_cast<const char*>(std::memchr(at, start, size_t(end - at))))) {
      const std::string_view rest(at, size_t(end - at));
      for (const std::string& needle : needles)
        if (rest.substr(0, needle.size()) == needle) ++count;
      ++at;
    }
  }
  return count;
}

}  // namespace tokenmill
