#include "page_shape.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

namespace tokenmill {
namespace {

using std::string_view;

constexpr std::array<string_view, 12> FORMATTING = {
    "b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u"};
constexpr std::array<string_view, 11> VOID_ELEMENTS = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"};
constexpr std::array<string_view, 8> RAW_TEXT = {
    "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"};
// No closing tag of what is outside reaches across these.
constexpr std::array<string_view, 19> BARRIERS = {
    "applet", "caption", "desc", "foreignobject", "marquee", "math", "mi", "mn", "mo", "ms",
    "mtext", "object", "select", "svg", "table", "td", "template", "th", "frameset"};
// Other elements whose closing tags are heeded; one counter for each. Of the rest none is.
constexpr std::array<string_view, 40> CLOSED = {
    "a", "abbr", "address", "article", "aside", "blockquote", "body", "button", "center", "cite",
    "dd", "details", "dir", "div", "dl", "dt", "figcaption", "figure", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "label", "li", "main",
    "nav", "nobr", "ol", "p", "pre", "section", "span", "sub", "sup", "ul"};

constexpr int64_t EQUAL_KEPT = 3;  // "Noah's Ark" of the HTML standard
constexpr size_t LONGEST_NAME = 16;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool ends_name(char c) { return is_space(c) || c == '/' || c == '>'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

template <size_t N>
size_t place_of(const std::array<string_view, N>& names, string_view name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

template <size_t N>
bool is_one_of(const std::array<string_view, N>& names, string_view name) {
  return place_of(names, name) < N;
}

// The elements that are open, by name, since the last barrier.
class OpenElements {
 public:
  void open(string_view name, bool has_attributes) {
    if (is_one_of(VOID_ELEMENTS, name)) return;
    if (is_one_of(BARRIERS, name)) seal();
    // A cell alone has a row and a table's body made around it.
    count(name == "td" || name == "th" ? 3 : name == "tr" ? 2 : 1);
    reopened_ += now_left_open_;
    if (const size_t at = place_of(FORMATTING, name); at < FORMATTING.size()) {
      formatting_[at].push_back(has_attributes);
      ++formatting_open_;
      bare_[at] += !has_attributes;
      if (has_attributes || bare_[at] <= EQUAL_KEPT) ++now_left_open_;
    } else if (const size_t other = place_of(CLOSED, name); other < CLOSED.size()) {
      ++others_[other];
    }
  }

  void close(string_view name) {
    if (const size_t at = place_of(FORMATTING, name); at < FORMATTING.size()) {
      if (formatting_[at].empty()) return;
      const bool had_attributes = formatting_[at].back();
      formatting_[at].pop_back();
      if (had_attributes || bare_[at] <= EQUAL_KEPT) --now_left_open_;
      bare_[at] -= !had_attributes;
      if (formatting_open_) {
        --formatting_open_;
        --now_open_;
      }
    } else if (const size_t other = place_of(CLOSED, name); other < CLOSED.size()) {
      if (!others_[other]) return;
      --others_[other];
      --now_open_;
    }
  }

  int64_t reopened() const { return reopened_; }
  int64_t most_open() const { return most_open_; }

 private:
  void count(int64_t elements) {
    now_open_ += elements;
    most_open_ = std::max(most_open_, now_open_);
  }

  // What is open stays open, as far as depth goes. Formatting elements are still taken to be closed
  // by their tags: <i><svg></svg></i> is what pages are full of.
  void seal() {
    formatting_open_ = 0;
    others_.fill(0);
  }

  std::array<std::vector<bool>, FORMATTING.size()> formatting_;  // with attributes?
  std::array<int64_t, FORMATTING.size()> bare_{};                // how many have none
  std::array<int64_t, CLOSED.size()> others_{};
  int64_t now_open_ = 0, most_open_ = 0, now_left_open_ = 0, reopened_ = 0;
  int64_t formatting_open_ = 0;  // since the last barrier
};

class Pass {
 public:
  explicit Pass(string_view page) : page_(page) {}

  PageShape run() {
    for (at_ = 0; (at_ = page_.find('<', at_)) < page_.size();) {
      ++at_;
      if (starts("!--")) {
        skip_comment();
      } else if (starts("![CDATA[")) {
        if (closes_from_ <= at_) closes_from_ = after("]]>", at_);
      } else {
        read_tag();
      }
    }
    shape_.reopened = open_.reopened();
    shape_.attributes = std::max(shape_.attributes, root_attributes_);
    shape_.depth = open_.most_open() + in_raw_text_;
    return shape_;
  }

 private:
  bool starts(string_view what) const { return page_.substr(at_, what.size()) == what; }
  char here() const { return page_[at_]; }
  bool ended() const { return at_ >= page_.size(); }

  size_t after(string_view what, size_t from) const {
    const size_t found = page_.find(what, from);
    return found == string_view::npos ? page_.size() : found + what.size();
  }

  template <typename Wanted>
  void skip_while(Wanted wanted) {
    while (!ended() && wanted(here())) ++at_;
  }

  void skip_comment() {
    at_ += 3;
    if (starts(">") || starts("->")) return;  // <!--> and <!---> are whole
    at_ = std::min(next("-->", comment_end_), next("--!>", odd_comment_end_));
  }

  // The end of the next `what`; `known` is that of the last search, so that none is made twice.
  size_t next(string_view what, size_t& known) const {
    if (known < at_ + what.size()) known = after(what, at_);
    return known;
  }

  void read_tag() {
    const bool closes = !ended() && here() == '/';
    at_ += closes;
    if (ended() || !is_letter(here())) return;
    const size_t begin = at_;
    skip_while([](char c) { return !ends_name(c); });
    char lowered[LONGEST_NAME];
    const size_t size = std::min(at_ - begin, LONGEST_NAME);
    std::transform(page_.data() + begin, page_.data() + begin + size, lowered, lower);
    // A longer name is none that is known.
    const string_view name(lowered, at_ - begin < LONGEST_NAME ? size : 0);
    int64_t attributes = 0;
    while (skip_attribute()) ++attributes;
    shape_.attributes = std::max(shape_.attributes, attributes);
    if (closes) {
      if (begin >= closes_from_) open_.close(name);
      return;
    }
    open_.open(name, attributes > 0);
    if (name == "html" || name == "body") root_attributes_ += attributes;  // of one element
    if (name == "select") options_ = 0;
    if (name == "option" || name == "optgroup") count_option();
    if (is_one_of(RAW_TEXT, name)) skip_raw_text(page_.substr(begin, size));
  }

  // Moves over `a = "b"`; false at the end of the tag.
  bool skip_attribute() {
    skip_while([](char c) { return is_space(c) || c == '/'; });
    if (ended() || here() == '>') return false;
    ++at_;  // a name may begin with `=`
    skip_while([](char c) { return !ends_name(c) && c != '='; });
    const size_t name_end = at_;
    skip_while(is_space);
    if (ended() || here() != '=') {
      at_ = name_end;
      return true;
    }
    ++at_;
    skip_while(is_space);
    if (!ended() && (here() == '"' || here() == '\'')) {
      at_ = after(page_.substr(at_, 1), at_ + 1);
    } else {
      skip_while([](char c) { return !is_space(c) && c != '>'; });
    }
    return true;
  }

  // To the closing tag of the element whose name is here given. What is open stays open: a parser
  // that ignores the tag sees what stands in the text.
  void skip_raw_text(string_view name) {
    const size_t begin = at_;
    for (; (at_ = page_.find('<', at_)) < page_.size(); ++at_) {
      if (page_.substr(at_ + 1, 1) == "/" && is_same(page_.substr(at_ + 2, name.size()), name))
        break;
      count_in_raw_text();
    }
    at_ = std::min(at_, page_.size());
    // <script><!-- <script> </script> goes on to the next, after the comment.
    if (closes_from_ <= at_ && page_.substr(begin, at_ - begin).find("<!--") != string_view::npos)
      closes_from_ = after("-->", begin);
  }

  static bool is_same(string_view a, string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char one, char other) { return lower(one) == lower(other); });
  }

  void count_in_raw_text() {
    in_raw_text_ += is_letter(page_.substr(at_, 2).back());
    for (const string_view name : FORMATTING) {
      const size_t end = at_ + 1 + name.size();
      if (end < page_.size() && ends_name(page_[end]) &&
          is_same(page_.substr(at_ + 1, name.size()), name))
        ++shape_.raw_formatting;
    }
    if (is_same(page_.substr(at_ + 1, 3), "opt")) count_option();
  }

  void count_option() { shape_.options = std::max(shape_.options, ++options_); }

  string_view page_;
  size_t at_ = 0;
  size_t closes_from_ = 0;  // closing tags before it count for nothing
  size_t comment_end_ = 0, odd_comment_end_ = 0;
  int64_t root_attributes_ = 0, options_ = 0;
  int64_t in_raw_text_ = 0;  // what looks like a tag there
  PageShape shape_;
  OpenElements open_;
};

}  // namespace

PageShape measure_page(string_view page) { return Pass(page).run(); }

}  // namespace tokenmill
