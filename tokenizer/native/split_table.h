// A compiled split pattern: a DFA over classes of code points that cuts text into pretokens.
//
//   code point ──► page_of[cp >> 8] ──► pages[page][cp & 255] = class
//   (state, class) ──► transitions[state][class] = accept bit | next state
//
// A match is decided one character late: the accept bit says "a match ends before this character".
// When the next state is dead, the pretoken ends at the last such place and scanning starts again
// from there. tokenizer/split_table.py builds the table and holds its executable specification.
//
// From the same table come the two that make ASCII text fast:
//
//   after_two[a][b]   the state after the ASCII bytes a and b; kEndsAfterOne when the pretoken is
//                     `a` alone; kDead where neither is sure
//   runs[state]       two sets of ASCII bytes: `loop`, those that lead from `state` to itself, and
//                     `ends`, those before which the pretoken ends. A set is the nibble table of a
//                     16-byte shuffle: bit (c >> 4) of byte (c & 15)
//
// so that " international" takes one look at `after_two` and one shuffle for the run of letters,
// and another, at the same time, tells whether what follows ends it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tokenmill {

class SplitTable {
 public:
  static constexpr uint16_t kAcceptBefore = 0x8000;
  static constexpr uint16_t kEnd = kAcceptBefore;  // accept, then dead: the pretoken ends here
  static constexpr uint16_t kStart = 1;
  static constexpr uint16_t kDead = 0;
  static constexpr uint8_t kEndsAfterOne = 255;
  struct alignas(32) Run {
    uint8_t loop[16], ends[16];
  };

  // page_of[0x1100], pages[p][256], transitions[states][classes + 1] as drawn.
  // Throws std::invalid_argument when an index in one table is out of range of the next.
  SplitTable(std::vector<uint16_t> page_of, std::vector<uint8_t> pages,
             std::vector<uint16_t> transitions, size_t states);

  uint16_t step(uint16_t state, uint8_t character_class) const {
    return transitions_[size_t(state) * columns_ + character_class];
  }
  uint8_t class_of(uint32_t code_point) const {
    return pages_[size_t(page_of_[code_point >> 8]) << 8 | (code_point & 255)];
  }
  uint8_t class_of_ascii(uint8_t byte) const { return ascii_classes_[byte]; }
  uint8_t end_class() const { return uint8_t(columns_ - 1); }
  uint8_t after_two(uint8_t a, uint8_t b) const { return after_two_[size_t(a) << 7 | b]; }
  const Run& run(uint8_t state) const { return runs_[state]; }
  // Whether a match ends before each byte of the state's loop.
  bool loop_accepts(uint8_t state) const { return loop_accepts_[state]; }

 private:
  void add_shortcuts();

  std::vector<uint16_t> page_of_;
  std::vector<uint8_t> pages_;
  std::vector<uint16_t> transitions_;
  size_t states_, columns_;
  std::array<uint8_t, 128> ascii_classes_{};
  std::array<uint8_t, 128 * 128> after_two_{};
  std::array<Run, 256> runs_{};
  std::array<bool, 256> loop_accepts_{};
};

}  // namespace tokenmill
