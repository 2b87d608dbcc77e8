// What of an HTML page could cost its parser time or memory out of all proportion, told by one pass
// over it before it is parsed:
//
//   <p><font a=1>  <p><font a=2> ...     reopened     formatting elements left open, at each tag
//   <option>x <option>y ...              options      of the <select> that has most
//   <p a b c d ...>                      attributes   of the tag that has most; all of <html>, <body>
//   <div><div><div> ...                  depth        elements that are open at a time
//
// What opens an element counts wherever it stands. What closes one counts for nothing
//
//   - inside of a comment, a quoted value, CDATA, or an element of raw text as <script>;
//   - where no element of its name is open; for depth, too, where one was opened that it can not
//     reach across, as in <div><table></div>.
//
// Formatting elements that a block ends with are opened again in the next: one <font> before 1,000
// paragraphs makes 1,000 elements, and 20,000 `<p><font a1=1>` make 200 million. Of equal ones the
// parser keeps three; of <a> and <nobr> one. Those that stand in raw text are counted apart
// (raw_formatting): a script may well build a page, but where the parser ignores the tag that begins
// the raw text they are real.
//
// Not seen: formatting elements whose closing tag a parser ignores because of a table or an object
// between them, as in <font><table></font></table>.
#pragma once

#include <cstdint>
#include <string_view>

namespace tokenmill {

struct PageShape {
  int64_t reopened = 0, raw_formatting = 0, options = 0, attributes = 0, depth = 0;
};

// Linear, in memory of a byte a tag that is not closed.
PageShape measure_page(std::string_view page);

}  // namespace tokenmill
