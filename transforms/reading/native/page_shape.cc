// What of an HTML page could cost its parser time or memory out of all proportion, in one pass of
// linear time before it is parsed:
//
//   <p><font a=1>  <p><font a=2> ...     left_open    formatting elements opened and not closed
//   <option>x <option>y ...              options
//   <p a b c d ...>                      attributes   of the tag that has most
//   <div><div><div> ...                  depth        elements open at a time, at most
//
// left_open, options and depth look at whatever looks like a tag, inside of scripts and comments as
// well: a parser may see fewer, never more. attributes reads tags as the HTML standard does, since a
// long script must not count as one tag.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>

namespace py = pybind11;
using namespace py::literals;
using std::string_view;

namespace {

constexpr std::array<string_view, 11> VOID_ELEMENTS = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "wbr"};
constexpr std::array<string_view, 14> FORMATTING = {
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"};
constexpr std::array<string_view, 8> RAW_TEXT = {
    "script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alphanumeric(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }
bool ends_name(char c) { return is_space(c) || c == '/' || c == '>'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

template <size_t N>
bool is_one_of(const std::array<string_view, N>& names, string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Where `what`, which holds no capitals, begins in any case; the end where it does not.
size_t find_any_case(string_view page, string_view what, size_t from) {
  for (size_t at = from; (at = page.find(what[0], at)) < page.size(); ++at) {
    const string_view here = page.substr(at, what.size());
    if (std::equal(here.begin(), here.end(), what.begin(), what.end(),
                   [](char a, char b) { return lower(a) == b; }))
      return at;
  }
  return page.size();
}

struct Shape {
  int64_t left_open = 0, options = 0, attributes = 0, depth = 0;
};

void count_tags(string_view page, Shape& shape) {
  std::unordered_map<std::string, int64_t> open;
  int64_t now_open = 0;
  std::string name;
  for (size_t at = 0; (at = page.find('<', at)) < page.size();) {
    const bool closes = ++at < page.size() && page[at] == '/';
    if (closes) ++at;
    if (at == page.size() || !is_letter(page[at])) continue;
    name.clear();
    while (at < page.size() && is_alphanumeric(page[at])) name += lower(page[at++]);
    if (at < page.size() && ends_name(page[at])) {
      if (is_one_of(FORMATTING, name)) shape.left_open += closes ? -1 : 1;
      shape.options += !closes && (name == "option" || name == "optgroup");
    }
    if (closes) {
      const auto found = open.find(name);
      if (found == open.end() || !found->second) continue;
      --found->second;
      --now_open;
    } else if (!is_one_of(VOID_ELEMENTS, name)) {
      ++open[name];
      shape.depth = std::max(shape.depth, ++now_open);
    }
  }
}

// Moves over `a = "b"`; false at the end of the tag.
bool skip_attribute(string_view page, size_t& at) {
  const auto skip_while = [&](auto is_wanted) {
    while (at < page.size() && is_wanted(page[at])) ++at;
  };
  skip_while([](char c) { return is_space(c) || c == '/'; });
  if (at == page.size() || page[at] == '>') return false;
  ++at;  // a name may begin with `=`
  skip_while([](char c) { return !ends_name(c) && c != '='; });
  const size_t name_end = at;
  skip_while(is_space);
  if (at == page.size() || page[at] != '=') {
    at = name_end;
    return true;
  }
  ++at;
  skip_while(is_space);
  if (at < page.size() && (page[at] == '"' || page[at] == '\'')) {
    at = std::min(page.find(page[at], at + 1), page.size() - 1) + 1;
  } else {
    skip_while([](char c) { return !is_space(c) && c != '>'; });
  }
  return true;
}

int64_t most_attributes(string_view page) {
  int64_t most = 0;
  for (size_t at = 0; (at = page.find('<', at)) < page.size();) {
    ++at;
    if (page.substr(at, 3) == "!--") {
      at = std::min(page.find("-->", at + 3), page.size());
      continue;
    }
    const bool closes = at < page.size() && page[at] == '/';
    at += closes;
    if (at == page.size() || !is_letter(page[at])) continue;
    std::string name;
    while (at < page.size() && !ends_name(page[at])) name += lower(page[at++]);
    int64_t count = 0;
    while (skip_attribute(page, at)) ++count;
    most = std::max(most, count);
    if (!closes && is_one_of(RAW_TEXT, name)) at = find_any_case(page, "</" + name, at);
  }
  return most;
}

}  // namespace

PYBIND11_MODULE(_page_shape, module) {
  module.doc() = "What of an HTML page could cost its parser too much; see native/page_shape.cc.";
  module.def(
      "measure",
      [](const string_view page) {
        Shape shape;
        {
          const py::gil_scoped_release release;
          count_tags(page, shape);
          shape.attributes = most_attributes(page);
        }
        return py::make_tuple(shape.left_open, shape.options, shape.attributes, shape.depth);
      },
      "page"_a);
}
