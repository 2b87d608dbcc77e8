#include "token_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

// AddressSanitizer sees the ends of what malloc gave, not those of a mapping.
#if defined(__has_feature)
#define TOKENMILL_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define TOKENMILL_ASAN 1
#else
#define TOKENMILL_ASAN 0
#endif

namespace tokenmill {

namespace {

constexpr size_t kStep = (64 << 10) / sizeof(TokenId);  // ids whose pages come together
size_t round_up(size_t ids, size_t multiple) { return (ids + multiple - 1) / multiple * multiple; }

#if defined(__linux__) && !TOKENMILL_ASAN

void* resize_memory(void* memory, size_t before, size_t after) {
  if (after == 0) return munmap(memory, before), nullptr;
  void* const resized =
      before == 0 ? mmap(nullptr, after, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                  : mremap(memory, before, after, MREMAP_MAYMOVE);
  if (resized == MAP_FAILED) throw std::bad_alloc();
  return resized;
}

// A system that does not know it lets pages come by faults.
void populate(void* memory, size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, which older headers lack
  madvise(memory, bytes, kPopulateWrite);
}

size_t ids_of_a_page() {
  static const size_t ids = size_t(sysconf(_SC_PAGESIZE)) / sizeof(TokenId);
  return ids;
}

#else

void* resize_memory(void* memory, size_t, size_t after) {
  if (after == 0) return std::free(memory), nullptr;
  void* const resized = std::realloc(memory, after);
  if (!resized) throw std::bad_alloc();
  return resized;
}

void populate(void*, size_t) {}

size_t ids_of_a_page() { return 1; }

#endif

}  // namespace

TokenBuffer::~TokenBuffer() {
  if (capacity_) resize_memory(ids_, capacity_ * sizeof(TokenId), 0);
}

void TokenBuffer::set_capacity(size_t ids) {
  ids_ = static_cast<TokenId*>(
      resize_memory(ids_, capacity_ * sizeof(TokenId), ids * sizeof(TokenId)));
  capacity_ = ids;
  ready_ = std::min(ready_, ids);
}

// Pages are asked for 64 KiB at a time, just before they are written: a call for sixteen small pages
// costs half of what sixteen faults do, and what it has cleared is still in the processor's cache.
void TokenBuffer::prepare(size_t size) {
  const size_t ready = round_up(size, kStep);
  if (ready > capacity_) set_capacity(std::max(2 * capacity_, ready));
  populate(ids_ + ready_, (ready - ready_) * sizeof(TokenId));
  ready_ = ready;
}

// A buffer that came back from results that were thrown away will do so again: to give up an eighth of
// its pages, and to ask for them in the next batch, would cost a hundredth of the time.
void TokenBuffer::fit() {
  const size_t needed = round_up(size_, ids_of_a_page());
  if (!came_back_ || ready_ > needed + needed / 8) ready_ = std::min(ready_, needed);
  if (capacity_ > ready_) set_capacity(ready_);
}

}  // namespace tokenmill
