// Ids as callers of Python hand them in: lists and tuples of whole numbers, arrays of any integers.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <memory>
#include <string>

namespace tokenmill {

namespace py = pybind11;

// The item of a list or tuple as a number; whether it is a token is asked later.
inline int64_t to_id(PyObject* item, size_t index) {
  const auto refuse = [&](const std::string& found) {
    return "id " + found + " at index " + std::to_string(index) + " is no ";
  };
  if (PyLong_CheckExact(item)) {
    int overflow = 0;
    const int64_t id = PyLong_AsLongLongAndOverflow(item, &overflow);
    if (!overflow) return id;
  }
  py::object number = py::reinterpret_borrow<py::object>(item);
  if (!PyLong_Check(item)) {  // NumPy's numbers are none
    if (!PyIndex_Check(item)) throw py::type_error(refuse(py::repr(item)) + "whole number");
    number = py::reinterpret_steal<py::object>(PyNumber_Index(item));
    if (!number) throw py::error_already_set();
  }
  int overflow = 0;
  const int64_t id = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow) throw py::value_error(refuse(py::str(number)) + "token");
  return id;
}

template <class Id, class Use>
auto use_array(const py::array& array, Use use) {
  const auto ids = py::array_t<Id, py::array::c_style | py::array::forcecast>::ensure(array);
  if (!ids) throw py::error_already_set();
  return use(ids.data(), size_t(ids.size()));
}

// What `use(ids, count)` returns, called with a pointer to integers of some type.
template <class Use>
auto with_ids(py::handle ids, Use use) {
  if (PyList_Check(ids.ptr()) || PyTuple_Check(ids.ptr())) {
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(ids.ptr());
    int64_t few[64];
    std::unique_ptr<int64_t[]> many;
    if (size_t(size) > std::size(few)) many.reset(new int64_t[size_t(size)]);
    int64_t* const numbers = many ? many.get() : few;
    size_t count = 0;
    // The size is asked again each time: an item may have code of its own, which may change the list.
    for (Py_ssize_t i = 0; i < std::min(size, PySequence_Fast_GET_SIZE(ids.ptr())); ++i)
      numbers[count++] = to_id(PySequence_Fast_GET_ITEM(ids.ptr(), i), size_t(i));
    return use(const_cast<const int64_t*>(numbers), count);
  }
  if (py::isinstance<py::array_t<uint32_t>>(ids)) {  // what encode gives: ask it nothing more
    const auto* const array = py::detail::array_proxy(ids.ptr());
    if (array->nd == 1 && array->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_)
      return use(reinterpret_cast<const uint32_t*>(array->data), size_t(array->dimensions[0]));
  }
  const py::array array = py::array::ensure(ids);
  if (!array) throw py::error_already_set();
  if (array.ndim() != 1)
    throw py::value_error("expected ids in one dimension, found " + std::to_string(array.ndim()));
  if (array.size() == 0) return use(static_cast<const int64_t*>(nullptr), size_t{0});
  const char kind = array.dtype().kind();
  if (kind != 'i' && kind != 'u')
    throw py::type_error("expected ids as whole numbers, found " +
                         std::string(py::str(array.dtype())));
  if (kind == 'u' && array.itemsize() == 2) return use_array<uint16_t>(array, use);
  if (kind == 'u' && array.itemsize() == 4) return use_array<uint32_t>(array, use);
  if (kind == 'u' && array.itemsize() == 8) return use_array<uint64_t>(array, use);
  return use_array<int64_t>(array, use);
}

}  // namespace tokenmill
