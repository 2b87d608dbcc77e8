// Ids back to text: the bytes that each stands for.
//
//   ids  9906 1917       ─►  "Hello world"
//   bytes  ...|Hello|...| world|...        offsets[id], offsets[id + 1]
//
// An id without bytes is no token, as one that is too large.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace tokenmill {

class TokenBytes {
 public:
  // offsets[n + 1], ascending, into `bytes`. Throws std::invalid_argument for others.
  TokenBytes(std::string bytes, std::vector<uint64_t> offsets)
      : bytes_(std::move(bytes)), offsets_(std::move(offsets)) {
    if (offsets_.empty() || offsets_.front() != 0 || offsets_.back() != bytes_.size() ||
        !std::is_sorted(offsets_.begin(), offsets_.end()))
      throw std::invalid_argument("token offsets do not fit the token bytes");
    bytes_.append(kAtOnce, '\0');
  }

  // What copy_to writes; throws std::invalid_argument for an id that is no token. Id: an integer.
  template <class Id>
  size_t size_of(const Id* ids, size_t count) const {
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      // A negative one becomes larger than any token.
      const auto id = static_cast<uint64_t>(ids[i]);
      const size_t size = id < offsets_.size() - 1 ? size_t(offsets_[id + 1] - offsets_[id]) : 0;
      if (size == 0)
        throw std::invalid_argument("id " + std::to_string(ids[i]) + " at index " +
                                    std::to_string(i) + " is no token");
      bytes += size;
    }
    return bytes;
  }

  // The bytes of ids that size_of has checked, and up to kAtOnce more after them.
  static constexpr size_t kAtOnce = 16;
  template <class Id>
  void copy_to(const Id* ids, size_t count, char* out) const {
    for (size_t i = 0; i < count; ++i) {
      const uint64_t begin = offsets_[size_t(ids[i])];
      const auto size = size_t(offsets_[size_t(ids[i]) + 1] - begin);
      // Nearly all tokens are that short, and a length that is known is copied without a call.
      std::memcpy(out, &bytes_[begin], kAtOnce);
      if (size > kAtOnce) std::memcpy(out, &bytes_[begin], size);
      out += size;
    }
  }

 private:
  std::string bytes_;
  std::vector<uint64_t> offsets_;
};

}  // namespace tokenmill
