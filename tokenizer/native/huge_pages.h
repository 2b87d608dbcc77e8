// Memory on huge pages where the system has them: a look-up somewhere in a large table then costs no
// TLB miss.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace tokenmill {

template <class T>
struct HugePages {
  using value_type = T;
  static T* allocate(size_t count) {
    constexpr size_t kHugePage = size_t{2} << 20;
    const size_t alignment = count * sizeof(T) >= kHugePage ? kHugePage : 64;
    const size_t bytes = (count * sizeof(T) + alignment - 1) / alignment * alignment;
    void* const memory = std::aligned_alloc(alignment, bytes);
    if (!memory) throw std::bad_alloc();
#ifdef __linux__
    if (bytes >= kHugePage) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return static_cast<T*>(memory);
  }
  static void deallocate(T* memory, size_t) { std::free(memory); }
  // What `resize` adds has no value yet.
  static void construct(T*) {}
  template <class... Values>
  static void construct(T* at, Values&&... values) {
    ::new (static_cast<void*>(at)) T(std::forward<Values>(values)...);
  }
  bool operator==(const HugePages&) const { return true; }
  bool operator!=(const HugePages&) const { return false; }
};

template <class T>
using HugeVector = std::vector<T, HugePages<T>>;

}  // namespace tokenmill
