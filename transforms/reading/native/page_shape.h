// What of an HTML page could cost its parser time or memory out of all proportion, told by one pass
// over it before it is parsed:
//
//   <p><font a=1>  <p><font a=2> ...     left_open    formatting elements that are open at a time
//   <option>x <option>y ...              options
//   <p a b c d ...>                      attributes   of the tag that has most
//   <div><div><div> ...                  depth        elements that are open at a time
//
// A parser may find fewer, never many more: what opens an element counts wherever it stands, what
// closes one only where every parser would see it and find the element. So a closing tag counts for
// nothing
//
//   - inside of a comment, a quoted value, CDATA, or an element of raw text as <script>;
//   - where no element of its name is open, or one was opened that it can not reach across, as in
//     <font><table></font>.
//
// Formatting elements are opened again after each block that ends with them open, so 20,000
// `<p><font a1=1>` make 200 million elements. Of equal ones the parser keeps three; of <a> and <nobr>
// one. Those that stand in raw text are counted apart (raw_formatting): a script may well build a
// page, but where the parser ignores the tag that begins the raw text they are real.
#pragma once

#include <cstdint>
#include <string_view>

namespace tokenmill {

struct PageShape {
  int64_t left_open = 0, raw_formatting = 0, options = 0, attributes = 0, depth = 0;
};

// Linear, in memory of a byte a tag that is not closed.
PageShape measure_page(std::string_view page);

}  // namespace tokenmill
