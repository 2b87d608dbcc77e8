// A compiled split pattern: a DFA over classes of code points that cuts text into pretokens.
//
//   code point ──► page_of[cp >> 8] ──► pages[page][cp & 255] = class
//   (state, class) ──► transitions[state][class] = accept bit | next state
//
// A match is decided one character late: the accept bit says "a match ends before this character".
// When the next state is dead, the pretoken ends at the last such place and scanning starts again
// from there. tokenizer/split/table.py builds the table and holds its executable specification.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tokenmill {

class SplitTable {
 public:
  static constexpr uint32_t kAcceptBefore = 0x80000000, kDead = 0;

  // page_of[0x1100], pages[p][256], transitions[states][classes + 1] as drawn.
  // Throws std::invalid_argument when an index in one table is out of range of the next.
  SplitTable(std::vector<uint16_t> page_of, std::vector<uint8_t> pages,
             const std::vector<uint16_t>& transitions, size_t states);

  // The row of the state that a match begins in, and the entry of a class: the row of the next state,
  // with kAcceptBefore or without. Rows are multiplied out, as every step waits for the one before.
  uint32_t start() const { return uint32_t(columns_); }
  uint32_t entry(uint32_t row, uint8_t character_class) const {
    return entries_[row + character_class];
  }
  uint8_t class_of(uint32_t code_point) const {
    return pages_[size_t(page_of_[code_point >> 8]) << 8 | (code_point & 255)];
  }
  uint8_t class_of_ascii(uint8_t byte) const { return ascii_classes_[byte]; }
  uint8_t end_class() const { return uint8_t(columns_ - 1); }

 private:
  std::vector<uint16_t> page_of_;
  std::vector<uint8_t> pages_;
  std::vector<uint32_t> entries_;
  size_t columns_;
  std::array<uint8_t, 128> ascii_classes_{};
};

}  // namespace tokenmill
