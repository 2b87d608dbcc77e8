// The Python face of page_shape.h; see _page_shape.pyi.
#include <pybind11/pybind11.h>

#include "page_shape.h"

namespace py = pybind11;
using namespace py::literals;

PYBIND11_MODULE(_page_shape, module) {
  module.doc() = "What of an HTML page could cost its parser too much; see native/page_shape.h.";
  module.def(
      "measure",
      [](const std::string_view page) {
        tokenmill::PageShape shape;
        {
          const py::gil_scoped_release release;
          shape = tokenmill::measure_page(page);
        }
        return py::make_tuple(shape.reopened, shape.raw_formatting, shape.options,
                              shape.attributes, shape.depth);
      },
      "page"_a);
}
