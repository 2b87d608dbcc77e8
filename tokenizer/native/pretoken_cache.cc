#include "pretoken_cache.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tokenmill {

namespace {

size_t power_of_two_at_most(size_t n) {
  size_t power = 1;
  while (power * 2 <= n) power *= 2;
  return power;
}

PretokenCache::Set* allocate_sets(size_t count) {
  // Aligned to a huge page where the table fills one: a look-up then costs no TLB miss.
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t bytes = count * sizeof(PretokenCache::Set);
  const size_t alignment = bytes >= kHugePage ? kHugePage : alignof(PretokenCache::Set);
  void* memory = std::aligned_alloc(alignment, bytes);
  if (!memory) throw std::bad_alloc();
#ifdef __linux__
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::memset(memory, 0, bytes);
  return static_cast<PretokenCache::Set*>(memory);
}

}  // namespace

void PretokenCache::FreeSets::operator()(Set* sets) const { std::free(sets); }

PretokenCache::PretokenCache(size_t budget_bytes) {
  const size_t budget = std::max<size_t>(budget_bytes, 64 << 10);
  const size_t sets = power_of_two_at_most(budget * 3 / 4 / sizeof(Set));
  set_mask_ = sets - 1;
  sets_.reset(allocate_sets(sets));
  const size_t slots = power_of_two_at_most(budget / 16 / sizeof(Slot));
  slot_mask_ = slots - 1;
  slots_.resize(slots);
  // Offsets are 32 bits wide.
  arena_.resize(std::min<size_t>(budget * 3 / 16, size_t{1} << 31));
}

void PretokenCache::insert_short(const ShortKey& key, TokenSpan tokens) {
  Set& set = sets_[set_of(key)];
  set.entries[1] = set.entries[0];
  Entry& entry = set.entries[0];
  entry.key = key;
  for (size_t i = 0; i < kMaxShortTokens; ++i) entry.ids[i] = i < tokens.count ? tokens.ids[i] : 0;
  entry.count = uint32_t(tokens.count);
}

uint64_t PretokenCache::hash_long(std::string_view pretoken) {
  const char* at = pretoken.data();
  size_t left = pretoken.size();
  uint64_t hash = left * 0x9E3779B97F4A7C15u;
  const auto mix = [&hash](uint64_t word) {
    const auto product =
        static_cast<unsigned __int128>(hash ^ word ^ 0xA0761D6478BD642Fu) * 0xE7037ED1A0B428DBu;
    hash = uint64_t(product) ^ uint64_t(product >> 64);
  };
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  uint64_t word = 0;
  std::memcpy(&word, at, left);
  mix(word);
  return hash;
}

TokenSpan PretokenCache::find_long(std::string_view pretoken, uint64_t hash) const {
  const Slot& slot = slots_[hash & slot_mask_];
  if (slot.hash != hash || slot.bytes != pretoken.size()) return {nullptr, 0};
  const uint8_t* ids = arena_.data() + slot.offset;
  if (std::memcmp(ids + slot.count * sizeof(TokenId), pretoken.data(), pretoken.size()) != 0)
    return {nullptr, 0};
  return {reinterpret_cast<const TokenId*>(ids), slot.count};
}

void PretokenCache::insert_long(std::string_view pretoken, uint64_t hash, TokenSpan tokens) {
  const size_t id_bytes = tokens.count * sizeof(TokenId);
  const size_t needed = (id_bytes + pretoken.size() + 3) & ~size_t{3};  // keeps ids aligned
  if (needed > arena_.size()) return;
  if (arena_used_ + needed > arena_.size()) {
    std::fill(slots_.begin(), slots_.end(), Slot{});
    arena_used_ = 0;
  }
  uint8_t* const ids = arena_.data() + arena_used_;
  std::memcpy(ids, tokens.ids, id_bytes);
  std::memcpy(ids + id_bytes, pretoken.data(), pretoken.size());
  slots_[hash & slot_mask_] = {hash, uint32_t(arena_used_), uint16_t(pretoken.size()),
                               uint16_t(tokens.count)};
  arena_used_ += needed;
}

}  // namespace tokenmill
