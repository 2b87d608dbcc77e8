// Where pretokens of ASCII text end, as far as windows of three bytes tell.
//
//   a| b c       a window is three bytes; it tells about the place between the first and the second.
//                Three examples, by cl100k_base:
//
//   I| c         cut + single      a pretoken ends here, however it began
//   /| a b       cut               "/ab" is one pretoken, so it ends here only if it began before the "/"
//   '| s o       cut + undecided   a pretoken that begins here is "'s" alone, where any other "s" before
//                                  an "o" goes on: later windows would be wrong, the table must be run
//
//   bits of a window            does the pretoken end here that began ...
//   cut single undecided        at the byte before     earlier
//    0    0       0             no                     no
//    1    0       0             no                     yes
//    0    1       0             yes                    no
//    1    1       0             yes                    yes
//    0    0       1             run the table          no
//    1    0       1             run the table          run the table        see majority and runs
//    0    1       1             if it has max_run bytes, all of one group   `count`: "102|4"
//
// Two tables make less undecided, of the windows that are cut + undecided:
//
//   majority   bytes that are alike share a group, and a few unlike ones may be in it, the minority.
//              If the byte at the place is one of the majority, the window is cut + single
//   runs       a line break before blanks ends a pretoken or not by what follows the blanks, however
//              many there are: the window of what follows the run is looked at instead
//
// tokenizer/split/fast/windows.py proves all of them from the split table. Here 64 places are looked up
// at once, and each bit of 64 windows is one word:
//
//   group_of[byte]         3 bits, so a window is a number of 9
//   cut[a << 3 | b]        bit c; so are `single` and `undecided`
//   majority[a << 3 | b]   bit c
//   runs                   bit a << 3 | b
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tokenmill {

// On 64 places in a row, a bit each.
struct Verdicts {
  uint64_t cut;        // a pretoken ends here that began before the byte before
  uint64_t single;     // a pretoken ends here that began with the byte before
  uint64_t undecided;  // the split table must be run
  uint64_t count;      // one ends here if it has max_run bytes, all of one group
  uint64_t foreign;    // the window is not ASCII; cut, single and undecided are set
};

class SplitWindows {
 public:
  enum : uint8_t { kCut = 1, kSingle = 2, kUndecided = 4, kCount = kSingle | kUndecided, kRun = 8, kMajority = 16 };
  static constexpr uint8_t kMinority = 8;
  static constexpr size_t kReadsAfter = 65;  // bytes that can be read from `end` on

  // group_of[128], below 8, plus kMinority where they are; verdicts[512]; max_run, below 64: the bytes
  // that kCount allows, 0 where it does not occur. Throws std::invalid_argument for others.
  SplitWindows(const std::vector<uint8_t>& group_of, const std::vector<uint8_t>& verdicts,
               unsigned max_run);

  // The verdicts on places from `at` on, before or at `end`; there is text before it. A window that
  // is not ASCII, or reaches to the end, is undecided.
  Verdicts verdicts_at(const uint8_t* at, const uint8_t* end) const {
    Verdicts verdicts = look_up_64_(*this, at);
    verdicts.count = verdicts.single & verdicts.undecided & ~verdicts.cut;
    verdicts.single &= ~verdicts.count;
    verdicts.undecided &= ~verdicts.count;
    uint64_t undecided = verdicts.cut & verdicts.undecided & ~verdicts.foreign;
    for (; undecided; undecided &= undecided - 1)
      if (is_cut(at + __builtin_ctzll(undecided), end)) {
        verdicts.single |= undecided & -undecided;
        verdicts.undecided ^= undecided & -undecided;
      }
    if (end - at <= 64) {
      const uint64_t unknown = end - at > 1 ? ~uint64_t{0} << (end - at - 1) : ~uint64_t{0};
      verdicts.cut |= unknown;
      verdicts.single |= unknown;
      verdicts.undecided |= unknown;
    }
    return verdicts;
  }
  unsigned max_run() const { return max_run_; }

 private:
  // Whether a place that is cut + undecided is cut + single: by the byte there, which is of the
  // majority, or by what follows the run of it.
  bool is_cut(const uint8_t* at, const uint8_t* end) const {
    const size_t pair = size_t(group_of_[at[-1]]) << 3 | group_of_[at[0]];
    if (majority_[pair] >> group_of_[at[1]] & 1 && !minority_[at[0]]) return true;
    if (!(runs_ >> pair & 1)) return false;
    const uint64_t run = 0x0101010101010101u * at[0];
    for (uint64_t bytes; at < end; at += sizeof bytes) {
      std::memcpy(&bytes, at, sizeof bytes);
      if (bytes == run) continue;
      at += __builtin_ctzll(bytes ^ run) / 8;
      const auto sure = uint8_t(cut_[pair] & single_[pair] & ~undecided_[pair]);
      return at < end && *at < 0x80 && sure >> group_of_[*at] & 1;
    }
    return false;
  }

  using LookUp64 = Verdicts (*)(const SplitWindows&, const uint8_t* at);
  static LookUp64 choose();
  struct Plain;
  struct Avx2;
  struct Avx512;
  struct Neon;

  alignas(64) uint8_t group_of_[128];
  alignas(64) uint8_t cut_[64] = {}, single_[64] = {}, undecided_[64] = {};
  uint8_t majority_[64] = {};
  bool minority_[128];
  uint64_t runs_ = 0;
  // Bit h of [k][l]: bit k of the group of byte h << 4 | l.
  alignas(16) uint8_t group_bits_[3][16] = {};
  const unsigned max_run_;
  const LookUp64 look_up_64_ = choose();
};

}  // namespace tokenmill
