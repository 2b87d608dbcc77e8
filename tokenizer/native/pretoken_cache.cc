#include "pretoken_cache.h"

#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tokenmill {

namespace {

// Cleared memory, on huge pages where the system has them: a look-up then costs no TLB miss.
void* allocate_table(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, bytes);
  if (!memory) throw std::bad_alloc();
#ifdef __linux__
  if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::memset(memory, 0, bytes);
  return memory;
}

uint8_t* pack(TokenSpan tokens, uint8_t* out) {
  for (size_t i = 0; i < tokens.count; ++i, out += 3) std::memcpy(out, &tokens.ids[i], 3);
  return out;
}

}  // namespace

// In 32nds of the budget: 12 for the sets, 3 for the slots, the rest for the ring. A mix of 30
// languages, where nothing is spared, fills all three about equally.
PretokenCache::PretokenCache(size_t budget_bytes) {
  const size_t part = std::max<size_t>(budget_bytes, 128 << 10) / 32 & ~size_t{0xFFF};
  set_count_ = 12 * part / sizeof(Set);
  slot_set_count_ = 3 * part / sizeof(SlotSet);
  ring_bytes_ = 17 * part;
  sets_.reset(static_cast<Set*>(allocate_table(set_count_ * sizeof(Set))));
  slot_sets_.reset(static_cast<SlotSet*>(allocate_table(slot_set_count_ * sizeof(SlotSet))));
  ring_.reset(static_cast<uint8_t*>(allocate_table(ring_bytes_)));
}

uint64_t PretokenCache::allocate(size_t bytes) {
  const size_t before_end = ring_bytes_ - written_ % ring_bytes_;
  if (before_end <= bytes) written_ += before_end;  // in a row, and unpack() reads a byte too many
  const uint64_t position = written_;
  written_ += bytes;
  return position;
}

void PretokenCache::insert_short(const ShortKey& key, uint64_t hash, TokenSpan tokens) {
  Entry entry{key, {0, 0, 0}, uint32_t(tokens.count)};
  if (tokens.count <= kInlineIds) {
    std::copy_n(tokens.ids, tokens.count, entry.ids);
  } else {
    const uint64_t position = allocate(3 * tokens.count);
    pack(tokens, ring_.get() + position % ring_bytes_);
    std::memcpy(entry.ids, &position, sizeof position);
  }
  Set& first = sets_[scale(uint32_t(hash), set_count_)];
  Set& second = sets_[scale(hash >> 32, set_count_)];
  // The same key comes again when its ids were overwritten in the ring.
  for (Set* const set : {&first, &second})
    for (Entry& old : set->entries)
      if (old.key == key) {
        old = entry;
        return;
      }
  for (Set* const set : {&first, &second})
    for (Entry& old : set->entries)
      if (old.count == 0) {
        old = entry;
        return;
      }
  first.entries[1] = first.entries[0];
  first.entries[0] = entry;
}

uint64_t PretokenCache::hash_of(std::string_view pretoken) {
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

PretokenCache::Packed PretokenCache::find_long(std::string_view pretoken, uint64_t hash) const {
  for (const Slot& slot : slot_set(hash).slots) {
    if (slot.hash != hash || (slot.place & 0xFFFF) != pretoken.size()) continue;
    const uint64_t position = slot.place >> 16;
    if (!is_there(position)) continue;
    uint16_t count;
    std::memcpy(&count, at(position), sizeof count);
    const uint8_t* const ids = at(position) + sizeof count;
    if (std::memcmp(ids + 3 * count, pretoken.data(), pretoken.size()) == 0) return {ids, count};
  }
  return {nullptr, 0};
}

void PretokenCache::insert_long(std::string_view pretoken, uint64_t hash, TokenSpan tokens) {
  const auto count = uint16_t(tokens.count);
  const uint64_t position = allocate(sizeof count + 3 * tokens.count + pretoken.size());
  uint8_t* const place = ring_.get() + position % ring_bytes_;
  std::memcpy(place, &count, sizeof count);
  std::memcpy(pack(tokens, place + sizeof count), pretoken.data(), pretoken.size());
  Slot* const slots = slot_set(hash).slots;
  Slot* oldest = slots;
  for (Slot* slot = slots; slot < slots + kSlots; ++slot)
    if (slot->place < oldest->place) oldest = slot;
  *oldest = {hash, position << 16 | pretoken.size()};
}

}  // namespace tokenmill
