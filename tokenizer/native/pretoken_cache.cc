#include "pretoken_cache.h"

#include <algorithm>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tokenmill {

namespace {

// Memory on huge pages where the system has them: a look-up then costs no TLB miss.
template <class T>
T* allocate(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, bytes);
  if (!memory) throw std::bad_alloc();
#ifdef __linux__
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return static_cast<T*>(memory);
}

constexpr size_t kHeader = 4, kPadding = 16;  // of a record, and behind the last one

}  // namespace

// Of what the hot sets leave of the budget, a seventh is for the index.
PretokenCache::PretokenCache(size_t budget_bytes) {
  const size_t budget = std::max<size_t>(budget_bytes, 1 << 20) - kHotSets * sizeof(HotSet);
  buckets_ = budget / 7 / sizeof(Bucket);
  segment_bytes_ = (budget - buckets_ * sizeof(Bucket) - kPadding) / kSegments & ~size_t{3};
  hot_.reset(allocate<HotSet>(kHotSets * sizeof(HotSet)));
  index_.reset(allocate<Bucket>(buckets_ * sizeof(Bucket)));
  ring_.reset(allocate<uint8_t>(kSegments * segment_bytes_ + kPadding));
  std::memset(hot_.get(), 0, kHotSets * sizeof(HotSet));
  std::memset(index_.get(), 0, buckets_ * sizeof(Bucket));
}

uint64_t PretokenCache::hash_of(std::string_view pretoken) {
  if (pretoken.size() <= ShortKey::kMaxBytes) {
    uint8_t padded[16] = {};
    std::memcpy(padded, pretoken.data(), pretoken.size());
    return ShortKey::of(padded, pretoken.size()).hash();
  }
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

void PretokenCache::make_hot(const ShortKey& key, uint64_t hash, TokenSpan tokens) {
  Entry entry{key, {0, 0, 0}, uint32_t(tokens.count)};
  std::copy_n(tokens.ids, tokens.count, entry.ids);
  Entry* const entries = hot_[hash % kHotSets].entries;
  entries[1] = entries[0];
  entries[0] = entry;
}

// A byte of x is 0 where the tag matches; the sum below carries into the top bit of all others.
PretokenCache::Matches::Matches(const Bucket& bucket, uint64_t hash) {
  constexpr uint64_t kLow = 0x7F7F7F7F7F7F7F7F, kOnes = 0x0101010101010101;
  uint64_t words[2];
  std::memcpy(words, bucket.tags, sizeof words);
  for (size_t i = 0; i < 2; ++i) {
    const uint64_t x = words[i] ^ kOnes * tag_of(hash);
    mask_[i] = ~(((x & kLow) + kLow) | x | kLow);
  }
  mask_[1] &= 0xFFFFFFFF;  // what follows the tags
}

PretokenCache::Record PretokenCache::find(std::string_view pretoken, uint64_t hash) const {
  const Bucket& in = bucket(hash);
  for (Matches matches(in, hash); matches.more(); matches.next()) {
    const uint8_t* const record = ring_.get() + 4 * size_t(in.places[matches.slot()]);
    uint16_t header[2];
    std::memcpy(header, record, kHeader);
    if (header[0] == pretoken.size() &&
        std::memcmp(record + kHeader, pretoken.data(), pretoken.size()) == 0)
      return {record + kHeader + pretoken.size(), header[1]};
  }
  return {nullptr, 0};
}

void PretokenCache::insert(std::string_view pretoken, uint64_t hash, TokenSpan tokens) {
  const size_t bytes = (kHeader + pretoken.size() + 3 * tokens.count + 3) & ~size_t{3};
  const size_t segment = end_ / segment_bytes_;
  if (end_ % segment_bytes_ == 0 || end_ + bytes > (segment + 1) * segment_bytes_) {
    const size_t next = end_ % segment_bytes_ == 0 ? segment : segment + 1;
    is_full_ |= next == kSegments;
    end_ = next % kSegments * segment_bytes_;
    if (is_full_) forget(end_, end_ + segment_bytes_);
  }
  uint8_t* at = ring_.get() + end_;
  const uint16_t header[2] = {uint16_t(pretoken.size()), uint16_t(tokens.count)};
  std::memcpy(at, header, kHeader);
  std::memcpy(at + kHeader, pretoken.data(), pretoken.size());
  at += kHeader + pretoken.size();
  for (size_t i = 0; i < tokens.count; ++i, at += 3) std::memcpy(at, &tokens.ids[i], 3);
  Bucket& in = bucket(hash);
  size_t slot = 0;
  while (slot < kSlots && in.tags[slot]) ++slot;
  if (slot == kSlots) {
    slot = in.oldest;
    in.oldest = uint32_t((slot + 1) % kSlots);
  }
  in.tags[slot] = tag_of(hash);
  in.places[slot] = uint32_t(end_ / 4);
  end_ += bytes;
}

void PretokenCache::forget(size_t begin, size_t end) {
  for (size_t i = 0; i < buckets_; ++i)
    for (size_t slot = 0; slot < kSlots; ++slot)
      if (index_[i].places[slot] >= begin / 4 && index_[i].places[slot] < end / 4)
        index_[i].tags[slot] = 0;
}

}  // namespace tokenmill
