#include "split_table.h"

#include <algorithm>
#include <stdexcept>

namespace tokenmill {

SplitTable::SplitTable(std::vector<uint16_t> page_of, std::vector<uint8_t> pages,
                       std::vector<uint16_t> transitions, size_t states)
    : page_of_(std::move(page_of)),
      pages_(std::move(pages)),
      transitions_(std::move(transitions)),
      states_(states),
      columns_(states ? transitions_.size() / states : 0) {
  if (states_ < 2 || columns_ < 2 || columns_ > 256 || states_ * columns_ != transitions_.size())
    throw std::invalid_argument("split table: transitions are not states x (classes + 1)");
  if (page_of_.size() != 0x1100)
    throw std::invalid_argument("split table: page_of does not cover U+0000 to U+10FFFF");
  for (const uint16_t page : page_of_)
    if ((size_t(page) + 1) * 256 > pages_.size())
      throw std::invalid_argument("split table: a page is missing");
  for (const uint8_t character_class : pages_)
    if (character_class + 1u >= columns_)
      throw std::invalid_argument("split table: a class has no column");
  for (size_t i = 0; i < transitions_.size(); ++i) {
    const uint16_t next = transitions_[i] & uint16_t(~kAcceptBefore);
    if (next >= states_ || ((i + 1) % columns_ == 0 && next != 0))
      throw std::invalid_argument("split table: a transition leads to no state");
  }
  add_shortcuts();
}

void SplitTable::add_shortcuts() {
  const auto add = [](uint8_t byte, uint8_t* set) { set[byte & 15] |= uint8_t(1u << (byte >> 4)); };
  const auto has_run = [this](uint16_t state) { return state < std::min<size_t>(states_, kEndsAfterOne); };
  loop_accepts_.fill(true);
  for (uint8_t byte = 0; byte < 128; ++byte) {
    ascii_classes_[byte] = class_of(byte);
    add(byte, runs_[kEndsAfterOne].ends);
    for (uint16_t state = kStart; has_run(state); ++state) {
      const uint16_t entry = step(state, class_of(byte));
      if (entry == kEnd) add(byte, runs_[state].ends);
      if ((entry & uint16_t(~kAcceptBefore)) == state) add(byte, runs_[state].loop);
      if (entry == state) loop_accepts_[state] = false;
    }
  }
  for (uint8_t a = 0; a < 128; ++a) {
    const uint16_t first = step(kStart, class_of(a)) & uint16_t(~kAcceptBefore);
    for (uint8_t b = 0; b < 128; ++b) {
      const uint16_t entry = step(first, class_of(b));
      const uint16_t second = entry & uint16_t(~kAcceptBefore);
      after_two_[size_t(a) << 7 | b] =
          entry == kEnd ? kEndsAfterOne : has_run(second) ? uint8_t(second) : uint8_t(kDead);
    }
  }
}

}  // namespace tokenmill
