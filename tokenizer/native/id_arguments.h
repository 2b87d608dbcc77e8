// Ids as callers of Python hand them in: lists and tuples of integers, arrays of any integers.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

namespace tokenmill {

namespace py = pybind11;

// The items of a list or tuple, written to `out`; false when one is no int, or a very large one. No
// code of theirs is run, so the list stays as it is meanwhile.
inline bool copy_ids(PyObject* list, size_t count, int64_t* out) {
  for (size_t i = 0; i < count; ++i) {
    PyObject* const item = PySequence_Fast_GET_ITEM(list, Py_ssize_t(i));
    int overflow = 0;
    if (PyLong_CheckExact(item)) out[i] = PyLong_AsLongLongAndOverflow(item, &overflow);
    if (!PyLong_CheckExact(item) || overflow) return false;
  }
  return true;
}

template <class Id, class Use>
auto use_array(const py::array& array, Use use) {
  const auto ids = py::array_t<Id, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!ids) throw py::error_already_set();
  return use(ids.data(), size_t(ids.size()));
}

// What `use(ids, count)` returns, called with a pointer to integers of some type. Throws ValueError or
// TypeError for what are no ids; whether one is a token is not asked.
template <class Use>
auto with_ids(py::handle ids, Use use) {
  if (PyList_Check(ids.ptr()) || PyTuple_Check(ids.ptr())) {
    const auto count = size_t(PySequence_Fast_GET_SIZE(ids.ptr()));
    int64_t few[64];
    std::unique_ptr<int64_t[]> many;
    if (count > std::size(few)) many.reset(new int64_t[count]);
    int64_t* const numbers = many ? many.get() : few;
    if (copy_ids(ids.ptr(), count, numbers))
      return use(const_cast<const int64_t*>(numbers), count);
  }
  if (py::isinstance<py::array_t<uint32_t>>(ids)) {  // what encode gives: ask it nothing more
    const auto* const array = py::detail::array_proxy(ids.ptr());
    if (array->nd == 1 && array->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_)
      return use(reinterpret_cast<const uint32_t*>(array->data), size_t(array->dimensions[0]));
  }
  // The bytes of a text are no ids, though an array can be made of them.
  const bool is_view = PyMemoryView_Check(ids.ptr());
  if (PyBytes_Check(ids.ptr()) || PyByteArray_Check(ids.ptr()) ||
      (is_view && PyMemoryView_GET_BUFFER(ids.ptr())->itemsize == 1))
    throw py::type_error("ids must be integers, found bytes");
  const py::array array = py::array::ensure(ids);
  if (!array) throw py::type_error("ids must be integers");
  if (array.ndim() != 1)
    throw py::value_error("expected a list of ids, found an array of shape " +
                          std::string(py::str(array.attr("shape"))));
  if (array.size() == 0) return use(static_cast<const int64_t*>(nullptr), size_t{0});
  const char kind = array.dtype().kind();
  if (kind != 'i' && kind != 'u')
    throw py::type_error("ids must be integers, found " + std::string(py::str(array.dtype())) +
                         ": " + std::string(py::repr(array.attr("item")(0))) + ", ...");
  if (kind == 'u' && array.itemsize() == 2) return use_array<uint16_t>(array, use);
  if (kind == 'u' && array.itemsize() == 4) return use_array<uint32_t>(array, use);
  if (kind == 'u' && array.itemsize() == 8) return use_array<uint64_t>(array, use);
  return use_array<int64_t>(array, use);
}

}  // namespace tokenmill
