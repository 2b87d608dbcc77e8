// Where pretokens of ASCII text end, as far as windows of three bytes tell; which windows do is
// proved by tokenizer/split/fast/windows.py.
//
//   group_of[byte]      3 bits; a, b, c are those of the bytes ahead of a place, at it and behind. Most
//                       bytes of a group are alike, the others are `unusual`
//   cut[a << 3 | b]     bit c: a verdict on the window; so are `single` and `walk`. `single` and
//                       `walk` without `cut` is a fourth, `count`
//   usual[a << 3 | b]   bit c: what says `cut` and `walk` is a cut if the byte at the place is usual
//   runs                bit a << 3 | b: the same, should it be `cut` and `single` when c is the group of
//                       what follows the run of the byte at the place
//
// Many windows are looked up at once, and a verdict on 64 places is one word.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace tokenmill {

// On 64 places in a row, a bit each.
struct Verdicts {
  uint64_t cut;      // a pretoken ends here, if it has more than the byte ahead
  uint64_t single;   // it ends here, if it began with the byte ahead
  uint64_t walk;     // not even these are sure
  uint64_t count;    // it ends here if it has `most` bytes, all of one group
  uint64_t foreign;  // the window is not ASCII; cut, single and walk are said
};

class SplitWindows {
 public:
  enum : uint8_t { kCut = 1, kSingle = 2, kWalk = 4, kCount = kSingle | kWalk, kRun = 8, kUsual = 16 };
  static constexpr uint8_t kUnusual = 8;
  static constexpr size_t kReadsBehind = 65;  // bytes that can be read from `end` on

  // group_of[128], below 8, plus kUnusual where they are; verdicts[512]; most, below 64: the bytes
  // that kCount allows, 0 where it does not occur. Throws std::invalid_argument for others.
  SplitWindows(const std::vector<uint8_t>& group_of, const std::vector<uint8_t>& verdicts,
               unsigned most);

  // The verdicts on places from `at` on, before or at `end`; there is text ahead of it. A window
  // that is not ASCII, or reaches to the end, says walk.
  Verdicts judge(const uint8_t* at, const uint8_t* end) const {
    Verdicts verdicts = judge_(*this, at);
    verdicts.count = verdicts.single & verdicts.walk & ~verdicts.cut;
    verdicts.single &= ~verdicts.count;
    verdicts.walk &= ~verdicts.count;
    uint64_t doubt = verdicts.cut & verdicts.walk & ~verdicts.foreign;
    for (; doubt; doubt &= doubt - 1)
      if (is_cut(at + __builtin_ctzll(doubt), end)) {
        verdicts.single |= doubt & -doubt;
        verdicts.walk ^= doubt & -doubt;
      }
    if (end - at <= 64) {
      const uint64_t unknown = end - at > 1 ? ~uint64_t{0} << (end - at - 1) : ~uint64_t{0};
      verdicts.cut |= unknown;
      verdicts.single |= unknown;
      verdicts.walk |= unknown;
    }
    return verdicts;
  }
  unsigned most() const { return most_; }

 private:
  // Whether a place where `cut` and `walk` are said is a cut: for the byte there, which is usual, or
  // for what follows the run of it.
  bool is_cut(const uint8_t* at, const uint8_t* end) const {
    const size_t pair = size_t(group_of_[at[-1]]) << 3 | group_of_[at[0]];
    if (usual_[pair] >> group_of_[at[1]] & 1 && !unusual_[at[0]]) return true;
    if (!(runs_ >> pair & 1)) return false;
    const uint64_t run = 0x0101010101010101u * at[0];
    for (uint64_t bytes; at < end; at += sizeof bytes) {
      std::memcpy(&bytes, at, sizeof bytes);
      if (bytes == run) continue;
      at += __builtin_ctzll(bytes ^ run) / 8;
      const auto sure = uint8_t(cut_[pair] & single_[pair] & ~walk_[pair]);
      return at < end && *at < 0x80 && sure >> group_of_[*at] & 1;
    }
    return false;
  }

  using Judge = Verdicts (*)(const SplitWindows&, const uint8_t* at);
  static Judge choose();
  struct Plain;
  struct Avx2;
  struct Avx512;
  struct Neon;

  alignas(64) uint8_t group_of_[128];
  alignas(64) uint8_t cut_[64] = {}, single_[64] = {}, walk_[64] = {};
  uint8_t usual_[64] = {};
  bool unusual_[128];
  uint64_t runs_ = 0;
  // Bit h of [k][l]: bit k of the group of byte h << 4 | l.
  alignas(16) uint8_t group_bits_[3][16] = {};
  const unsigned most_;
  const Judge judge_ = choose();
};

}  // namespace tokenmill
