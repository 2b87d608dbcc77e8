// Between NumPy's arrays and what the engine takes and gives.
#pragma once

#include <pybind11/numpy.h>

#include <cstring>
#include <utility>
#include <vector>

#include "batch.h"
#include "token_buffer.h"

namespace tokenmill {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::vector<T> to_vector(const Array<T>& array) {
  return {array.data(), array.data() + array.size()};
}

template <class T>
py::array to_array(const std::vector<T>& values) {
  return py::array_t<T>(py::ssize_t(values.size()), values.data());
}

// A view of texts, checked: each is data[offsets[i]:offsets[i + 1]].
inline Documents to_documents(const py::buffer_info& info, const Array<int64_t>& offsets) {
  const auto buffer_bytes = info.size * info.itemsize;
  if (offsets.ndim() != 1 || offsets.size() < 1)
    throw std::invalid_argument("offsets must hold one number more than there are texts");
  const auto count = size_t(offsets.size() - 1);
  const int64_t* const at = offsets.data();
  if (at[0] < 0) throw std::invalid_argument("an offset is out of order or out of range");
  for (size_t i = 0; i < count; ++i)
    if (at[i + 1] < at[i] || at[i + 1] > buffer_bytes || (at[i + 1] - at[i]) >> 32)
      throw std::invalid_argument("an offset is out of order or out of range");
  return {{static_cast<const char*>(info.ptr), size_t(buffer_bytes)}, at, count};
}

// Ids as arrays, made of buffers that come back when nobody looks at the array any more.
class IdArrays {
 public:
  // A buffer on loan from `take` on.
  class Loan {
   public:
    explicit Loan(IdArrays& arrays) : home_(arrays.buffers_), buffer(home_->take()) {}
    ~Loan() { home_->give_back(std::move(buffer)); }
    Loan(const Loan&) = delete;

   private:
    std::shared_ptr<TokenBuffers> home_;

   public:
    TokenBuffer buffer;
  };

  std::unique_ptr<Loan> take() { return std::make_unique<Loan>(*this); }

  // Two ids in the room of each. Without the GIL; throws std::invalid_argument when one does not fit.
  static void narrow(const TokenBuffer& ids, TokenBuffer& out) {
    out.resize((ids.size() + 1) / 2);
    auto* const at = reinterpret_cast<uint16_t*>(out.data());
    TokenId all = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      at[i] = uint16_t(ids[i]);
      all |= ids[i];
    }
    if (all > UINT16_MAX) throw std::invalid_argument("ids above 65535 do not fit into 2 bytes");
  }

  // The first `count` numbers in a buffer. With the GIL.
  template <class T>
  static py::array to_array(std::unique_ptr<Loan> loan, size_t count) {
    const TokenBuffer& buffer = loan->buffer;
    // A short batch would take most pages from a buffer that longer ones need again.
    if (count * sizeof(T) < kSmallBytes || 2 * buffer.size() < buffer.ready())
      return py::array_t<T>(py::ssize_t(count), reinterpret_cast<const T*>(buffer.data()));
    loan->buffer.fit();  // and may be elsewhere
    const py::capsule owner(loan.get(), [](void* of) { delete static_cast<Loan*>(of); });
    return py::array_t<T>(py::ssize_t(count),
                          reinterpret_cast<T*>(loan.release()->buffer.data()), owner);
  }

 private:
  static constexpr size_t kSmallBytes = 128 << 10;  // fewer are copied

  const std::shared_ptr<TokenBuffers> buffers_ = std::make_shared<TokenBuffers>();
};

// The ids of a short text as an array: 0.1 us, a third of what `py::array_t` takes.
inline py::array small_array(const TokenBuffer& tokens) {
  static PyObject* const type = py::dtype::of<TokenId>().release().ptr();  // lives as long as we
  auto& numpy = py::detail::npy_api::get();
  Py_intptr_t shape[] = {Py_intptr_t(tokens.size())};
  Py_INCREF(type);  // the array's
  PyObject* const array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, type, 1, shape, nullptr,
                                                      nullptr, 0, nullptr);
  if (!array) throw py::error_already_set();
  std::memcpy(py::detail::array_proxy(array)->data, tokens.data(), tokens.size() * sizeof(TokenId));
  return py::reinterpret_steal<py::array>(array);
}

}  // namespace tokenmill
