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
      merger_(model.vocabulary, model.trie),
      cache_(model.cache_bytes) {
  // A word that is one token never misses. The smaller ids are the more frequent ones and go first,
  // into the set that is looked at first.
  for (TokenId id = 0; id < model.vocabulary.size(); ++id) {
    const std::string_view token = model.vocabulary.bytes_of(id);
    if (token.empty() || token.size() > PretokenCache::kMaxShortBytes) continue;
    const ShortKey key = ShortKey::of(token);
    cache_.insert_short(key, PretokenCache::hash_of(key), {&id, 1});
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
    hashes_[i] = PretokenCache::hash_of(keys_[i]);
    __builtin_prefetch(&cache_.first_set(hashes_[i]));
  }
  // Every hit stores as many ids as an entry has room for, and moves on by its count.
  constexpr size_t kRoom = kBlockPretokens * PretokenCache::kMaxShortBytes;
  TokenId* at = out.reserve(kRoom);
  for (size_t i = 0; i < block.count; ++i) {
    const std::string_view pretoken(reinterpret_cast<const char*>(block.begin[i]),
                                    block.bytes[i]);
    if (pretoken.size() <= PretokenCache::kMaxShortBytes) {
      const PretokenCache::Entry* entry = cache_.first_set(hashes_[i]).entries;
      if (!(entry->key == keys_[i]) && !((++entry)->key == keys_[i])) {
        entry = cache_.second_set(hashes_[i]).entries;
        if (!(entry->key == keys_[i])) ++entry;
      }
      if (entry->key == keys_[i]) {
        if (entry->count <= PretokenCache::kInlineIds) {
          std::memcpy(at, entry->ids, sizeof entry->ids);
          at += entry->count;
          continue;
        }
        const PretokenCache::Packed packed = cache_.in_ring(*entry);
        if (packed.count) {
          at = PretokenCache::unpack(packed, at);
          continue;
        }
      }
      const TokenSpan tokens = merger_.encode(pretoken);
      at = std::copy_n(tokens.ids, tokens.count, at);
      cache_.insert_short(keys_[i], hashes_[i], tokens);
    } else {
      out.set_end(at);
      at = look_up_long(pretoken, out);
      out.set_end(at);
      at = out.reserve(kRoom);
    }
  }
  out.set_end(at);
}

TokenId* Encoder::look_up_long(std::string_view pretoken, TokenBuffer& out) {
  const bool cached = pretoken.size() <= PretokenCache::kMaxLongBytes;
  uint64_t hash = 0;
  if (cached) {
    hash = PretokenCache::hash_of(pretoken);
    const PretokenCache::Packed packed = cache_.find_long(pretoken, hash);
    if (packed.count) return PretokenCache::unpack(packed, out.reserve(packed.count));
  }
  const TokenSpan tokens = merger_.encode(pretoken);
  if (cached) cache_.insert_long(pretoken, hash, tokens);
  return std::copy_n(tokens.ids, tokens.count, out.reserve(tokens.count));
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
