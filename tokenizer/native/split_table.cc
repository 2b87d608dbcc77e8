#include "split_table.h"

#include <stdexcept>

namespace tokenmill {

SplitTable::SplitTable(std::vector<uint16_t> page_of, std::vector<uint8_t> pages,
                       const std::vector<uint16_t>& transitions, size_t states)
    : page_of_(std::move(page_of)),
      pages_(std::move(pages)),
      columns_(states ? transitions.size() / states : 0) {
  if (states < 2 || columns_ < 2 || columns_ > 256 || states * columns_ != transitions.size())
    throw std::invalid_argument("split table: transitions are not states x (classes + 1)");
  if (page_of_.size() != 0x1100)
    throw std::invalid_argument("split table: page_of does not cover U+0000 to U+10FFFF");
  for (const uint16_t page : page_of_)
    if ((size_t(page) + 1) * 256 > pages_.size())
      throw std::invalid_argument("split table: a page is missing");
  for (const uint8_t character_class : pages_)
    if (character_class + 1u >= columns_)
      throw std::invalid_argument("split table: a class has no column");
  constexpr uint16_t kAccept = 0x8000;
  for (const uint16_t entry : transitions) {
    const uint32_t next = entry & ~kAccept;
    const bool is_end = (entries_.size() + 1) % columns_ == 0;
    if (next >= states || (is_end && next != 0))
      throw std::invalid_argument("split table: a transition leads to no state");
    entries_.push_back(next * uint32_t(columns_) | (entry & kAccept ? kAcceptBefore : 0));
  }
  for (uint8_t byte = 0; byte < 128; ++byte) ascii_classes_[byte] = class_of(byte);
}

}  // namespace tokenmill
