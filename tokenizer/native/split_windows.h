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
//   run        a line break before blanks ends a pretoken or not by what follows the blanks, whichever
//              they are and however many: if that is of a group in `after_run`, it is cut + single
//
// tokenizer/split/fast/windows.py proves all of them from the split table. Here 64 places are looked up
// at once, and each bit of 64 windows is one word:
//
//   group_of[byte]         3 bits, so a window is a number of 9
//   cut[a << 3 | b]        bit c; so are `single`, `undecided` and `majority`
//   run[a << 3 | b]        all bits or none
//   in_run, after_run      bit c
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tokenmill {

// On 64 places in a row, a bit each.
struct Verdicts {
  uint64_t cut;        // a pretoken ends here that began before the byte before
  uint64_t single;     // a pretoken ends here that began with the byte before
  uint64_t undecided;  // the split table must be run
  uint64_t count;      // one ends here if it has max_run bytes, all of one group
  uint64_t foreign;    // the window is not ASCII; cut, single and undecided are set
  // Of windows that are ASCII:
  uint64_t majority;   // cut + single if it is cut + undecided
  uint64_t run;        // the same if it is followed by places in_run and then by one of after_run
  uint64_t in_run;     // the byte after the place is of a group of blanks
  uint64_t after_run;
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
    uint64_t unknown = 0;
    if (end - at <= 64)
      unknown = end - at > 1 ? ~uint64_t{0} << (end - at - 1) : ~uint64_t{0};
    const uint64_t ascii = ~(verdicts.foreign | unknown);
    const uint64_t open = verdicts.cut & verdicts.undecided & ascii;
    uint64_t sure = open & verdicts.majority;
    if (const uint64_t runs = open & verdicts.run)
      sure |= runs & run_ends(verdicts.in_run & ascii, verdicts.after_run & ascii, at, end);
    verdicts.single |= sure;
    verdicts.undecided &= ~sure;
    verdicts.cut |= unknown;
    verdicts.single |= unknown;
    verdicts.undecided |= unknown;
    return verdicts;
  }
  unsigned max_run() const { return max_run_; }

 private:
  // The places from which `in_run` leads to a place of `after_run`, from the first of 64 at `at` on.
  uint64_t run_ends(uint64_t in_run, uint64_t after_run, const uint8_t* at,
                    const uint8_t* end) const {
    if (in_run >> 63) {  // it goes on after the 64
      const uint8_t* stop = at + 65;
      while (stop < end && *stop < 0x80 && is_in(in_run_, *stop)) ++stop;
      const bool is_after = stop < end && *stop < 0x80 && is_in(after_run_, *stop);
      after_run |= uint64_t{is_after} << 63;
    }
    // What leads over k places of `in_run` to one that is found leads on over k more.
    for (unsigned k = 1; k < 64; k *= 2) {
      after_run |= in_run & after_run >> k;
      in_run &= in_run >> k;
    }
    return after_run;
  }

  bool is_in(uint8_t groups, uint8_t ascii) const { return groups >> (group_of_[ascii] & 7) & 1; }

  using LookUp64 = Verdicts (*)(const SplitWindows&, const uint8_t* at);
  static LookUp64 choose();
  struct Plain;
  struct Avx2;
  struct Avx512;
  struct Neon;

  alignas(64) uint8_t group_of_[128];  // with kMinority
  alignas(64) uint8_t cut_[64] = {}, single_[64] = {}, undecided_[64] = {};
  alignas(64) uint8_t majority_[64] = {}, run_[64] = {};
  uint8_t in_run_ = 0, after_run_ = 0;
  // Bit h of [k][l]: bit k of what group_of_ has for byte h << 4 | l.
  alignas(16) uint8_t group_bits_[4][16] = {};
  const unsigned max_run_;
  const LookUp64 look_up_64_ = choose();
};

}  // namespace tokenmill
