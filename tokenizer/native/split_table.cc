#include "split_table.h"

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
  for (uint8_t byte = 0; byte < 128; ++byte) ascii_classes_[byte] = class_of(byte);
}

}  // namespace tokenmill
