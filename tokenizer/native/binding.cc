// The Python face of the engine: checks arguments, raises ValueError, releases the GIL.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "arrays.h"
#include "batch.h"
#include "encoder.h"
#include "id_arguments.h"
#include "quick_check.h"
#include "token_bytes.h"
#include "utf8.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are little-endian words");

namespace py = pybind11;
using namespace py::literals;
using tokenmill::Array;
using tokenmill::IdArrays;
using tokenmill::QuickCheck;
using tokenmill::to_array;
using tokenmill::to_documents;
using tokenmill::to_vector;
using tokenmill::TokenId;

namespace {

class AddedTokens {
 public:
  explicit AddedTokens(
      const std::vector<std::vector<std::tuple<std::string, int32_t, bool>>>& levels) {
    for (const auto& level : levels) {
      std::vector<tokenmill::AddedTokens::Token> tokens;
      for (const auto& [text, id, plain] : level) tokens.push_back({text, id, plain});
      levels_.emplace_back(std::move(tokens));
    }
  }

  // See _native.pyi.
  py::tuple scan(const py::buffer& data, const Array<int64_t>& offsets) const {
    const py::buffer_info info = data.request();
    const tokenmill::Documents documents = to_documents(info, offsets);
    const auto count = py::ssize_t(documents.count);
    py::array_t<uint32_t> specials{count};
    py::array_t<bool> valid{count};
    py::array_t<int64_t> first(count + 1);
    const tokenmill::ScanResults found{specials.mutable_data(), valid.mutable_data(),
                                       first.mutable_data()};
    tokenmill::Segments segments;
    {
      const py::gil_scoped_release release;
      tokenmill::scan_documents(documents, levels_, found, segments);
    }
    return py::make_tuple(specials, valid, first, to_array(segments.offsets),
                          to_array(segments.kinds));
  }

  const std::vector<tokenmill::AddedTokens>& levels() const { return levels_; }

 private:
  std::vector<tokenmill::AddedTokens> levels_;
};

using tokenmill::Vocabulary;

// What takes 10 us keeps the GIL: to get it back from another thread may take 500 times as long.
constexpr size_t kShortText = 4096, kShortIds = 4096;

std::shared_ptr<Vocabulary> make_vocabulary(const py::bytes& token_bytes,
                                            const Array<uint64_t>& token_offsets,
                                            std::optional<size_t> merged,
                                            const Array<TokenId>& external,
                                            const Array<uint32_t>& external_at) {
  return std::make_shared<Vocabulary>(
      std::string(token_bytes), to_vector(token_offsets), merged.value_or(size_t(token_offsets.size())),
      tokenmill::ExternalIds{to_vector(external), to_vector(external_at)});
}

py::array_t<TokenId> parts(const Vocabulary& vocabulary) {
  py::array_t<TokenId> array({py::ssize_t(vocabulary.size()), py::ssize_t(2)});
  TokenId* at = array.mutable_data();
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    *at++ = vocabulary.left_part(id);
    *at++ = vocabulary.right_part(id);
  }
  return array;
}

// A stage as _native.pyi has it.
using StageTuple = std::tuple<Array<uint16_t>, Array<uint8_t>, Array<uint16_t>, uint8_t, bool, bool>;

// The windows of the only stage: group_of, verdicts, max_run.
using WindowsTuple = std::tuple<Array<uint8_t>, Array<uint8_t>, unsigned>;

tokenmill::Split to_split(const std::vector<StageTuple>& tuples,
                          const std::optional<WindowsTuple>& windows) {
  if (tuples.empty() || tuples.size() > tokenmill::kMaxStages)
    throw std::invalid_argument("expected 1 to " + std::to_string(tokenmill::kMaxStages) +
                                " split stages, found " + std::to_string(tuples.size()));
  std::vector<tokenmill::SplitStage> stages;
  for (const auto& [page_of, pages, transitions, behavior, invert, on_bytes] : tuples) {
    if (behavior > tokenmill::SplitStage::kMergedWithNext)
      throw std::invalid_argument("a split stage of unknown behavior");
    const size_t states = transitions.ndim() == 2 ? size_t(transitions.shape(0)) : 0;
    stages.push_back({{to_vector(page_of), to_vector(pages), to_vector(transitions), states},
                      tokenmill::SplitStage::Behavior(behavior), invert, on_bytes});
  }
  if (!windows) return {std::move(stages), std::nullopt};
  if (stages.size() != 1)
    throw std::invalid_argument("split windows are for a single split stage");
  const auto& [group_of, verdicts, max_run] = *windows;
  return {std::move(stages),
          tokenmill::SplitWindows(to_vector(group_of), to_vector(verdicts), max_run)};
}

class Engine {
 public:
  Engine(std::shared_ptr<Vocabulary> vocabulary, const std::vector<StageTuple>& stages,
         const std::optional<WindowsTuple>& windows, size_t cache_bytes)
      : vocabulary_(std::move(vocabulary)),
        model_{*vocabulary_,
               tokenmill::MergeBoundaries(*vocabulary_),
               to_split(stages, windows),
               cache_bytes},
        pool_(model_) {}

  // See _native.pyi.
  py::tuple encode_documents(const py::buffer& data, const Array<int64_t>& offsets,
                             const Array<int32_t>& kinds, const Array<int64_t>& first,
                             std::optional<TokenId> begin, std::optional<TokenId> end,
                             unsigned bytes_per_token) {
    const py::buffer_info info = data.request();
    const tokenmill::Documents segments = to_documents(info, offsets);
    if (bytes_per_token != 2 && bytes_per_token != 4)
      throw std::invalid_argument("a token takes 2 or 4 bytes");
    if (first.size() < 1 || first.at(0) != 0 || first.at(first.size() - 1) != kinds.size() ||
        size_t(kinds.size()) != segments.count ||
        !std::is_sorted(first.data(), first.data() + first.size()))
      throw std::invalid_argument("documents do not fit their segments");
    py::array_t<int64_t> token_offsets(first.size());
    int64_t* const token_at = token_offsets.mutable_data();
    const tokenmill::Segmented documents{segments, kinds.data(), first.data(),
                                         size_t(first.size() - 1)};
    auto ids = arrays_.take(), narrow = std::unique_ptr<IdArrays::Loan>();
    if (bytes_per_token == 2) narrow = arrays_.take();
    tokenmill::EncoderPool::Loan encoder(pool_);  // with the GIL held; see EncoderPool
    {
      const py::gil_scoped_release release;
      tokenmill::encode_documents(documents, begin, end, *encoder, ids->buffer, token_at);
      if (narrow) IdArrays::narrow(ids->buffer, narrow->buffer);
    }
    const size_t count = ids->buffer.size();
    return py::make_tuple(narrow ? IdArrays::to_array<uint16_t>(std::move(narrow), count)
                                 : IdArrays::to_array<TokenId>(std::move(ids), count),
                          token_offsets);
  }

  // See _native.pyi.
  py::tuple encode_texts(const AddedTokens& added, const py::buffer& data,
                         const Array<int64_t>& offsets, std::optional<TokenId> begin,
                         std::optional<TokenId> end, unsigned bytes_per_token) {
    const py::buffer_info info = data.request();
    const tokenmill::Documents texts = to_documents(info, offsets);
    if (bytes_per_token != 2 && bytes_per_token != 4)
      throw std::invalid_argument("a token takes 2 or 4 bytes");
    const auto size = py::ssize_t(texts.count);
    py::array_t<int64_t> token_offsets(size + 1);
    py::array_t<uint32_t> specials{size};
    py::array_t<bool> valid{size};
    int64_t* const token_at = token_offsets.mutable_data();
    std::vector<int64_t> first(texts.count + 1);
    const tokenmill::ScanResults found{specials.mutable_data(), valid.mutable_data(),
                                       first.data()};
    auto ids = arrays_.take(), narrow = std::unique_ptr<IdArrays::Loan>();
    if (bytes_per_token == 2) narrow = arrays_.take();
    tokenmill::EncoderPool::Loan encoder(pool_);  // with the GIL held; see EncoderPool
    {
      const py::gil_scoped_release release;
      tokenmill::Segments segments;
      tokenmill::scan_documents(texts, added.levels(), found, segments);
      const tokenmill::Documents cut{texts.data, segments.offsets.data(), segments.kinds.size()};
      tokenmill::encode_documents({cut, segments.kinds.data(), first.data(), texts.count}, begin,
                                  end, *encoder, ids->buffer, token_at);
      if (narrow) IdArrays::narrow(ids->buffer, narrow->buffer);
    }
    const size_t count = ids->buffer.size();
    return py::make_tuple(narrow ? IdArrays::to_array<uint16_t>(std::move(narrow), count)
                                 : IdArrays::to_array<TokenId>(std::move(ids), count),
                          token_offsets, specials, valid);
  }

  // For TextEncoder. The same as AddedTokens.scan and encode_documents of one text, without arrays
  // in between: 0.5 us instead of 8 for "hello world".
  py::object encode_text(const tokenmill::TextRoute& route, py::handle text) {
    if (!PyUnicode_Check(text.ptr()))
      throw py::type_error(std::string("expected a str, found ") + Py_TYPE(text.ptr())->tp_name);
    Py_ssize_t bytes = 0;
    const char* const utf8 = PyUnicode_AsUTF8AndSize(text.ptr(), &bytes);
    if (!utf8) throw py::error_already_set();
    const std::string_view document{utf8, size_t(bytes)};
    if (document.size() >> 32) throw std::invalid_argument("a text of 4 GiB or more");
    tokenmill::EncoderPool::Loan encoder(pool_);
    if (document.size() <= kShortText) {
      IdArrays::Loan ids(arrays_);
      if (!tokenmill::encode_text(document, route, *encoder, ids.buffer)) return py::none();
      return tokenmill::small_array(ids.buffer);
    }
    auto ids = arrays_.take();
    {
      const py::gil_scoped_release release;
      if (!tokenmill::encode_text(document, route, *encoder, ids->buffer)) ids.reset();
    }
    if (!ids) return py::none();
    const size_t count = ids->buffer.size();
    return IdArrays::to_array<TokenId>(std::move(ids), count);
  }

  // Each pretoken of a document: where it begins and ends, and its ids. For inspection, not speed.
  std::vector<tokenmill::Encoder::Inspected> pretokens(const std::string& utf8) {
    if (!tokenmill::is_valid_utf8(utf8)) throw std::invalid_argument("the text is not UTF-8");
    std::string padded = utf8;
    padded.append(tokenmill::kPaddingBytes, '\0');
    return tokenmill::EncoderPool::Loan(pool_)->inspect({padded.data(), utf8.size()});
  }

 private:
  const std::shared_ptr<const Vocabulary> vocabulary_;
  const tokenmill::Model model_;
  tokenmill::EncoderPool pool_;
  IdArrays arrays_;
};

// Engine.encode_text as a function of one argument, which Python calls without pybind11's search
// for an overload that fits: 0.1 us of the 0.4 that a short text takes.
class TextEncoder {
 public:
  TextEncoder(py::object engine, py::object added, py::object form, std::optional<TokenId> begin,
              std::optional<TokenId> end)
      : engine_(std::move(engine)),
        added_(std::move(added)),
        form_(std::move(form)),
        call_(engine_.cast<Engine&>()),
        route_{added_.cast<const AddedTokens&>().levels(), form_.cast<const QuickCheck*>(), begin,
               end} {}

  // See _native.pyi.
  static py::object of(py::object engine, py::object added, py::object form,
                       std::optional<TokenId> begin, std::optional<TokenId> end) {
    static PyMethodDef method{"encode_text", &TextEncoder::call, METH_O,
                              "The ids of one text, uint32[n], or None: normalize it first."};
    const py::capsule self(
        new TextEncoder(std::move(engine), std::move(added), std::move(form), begin, end),
        [](void* encoder) { delete static_cast<TextEncoder*>(encoder); });
    return py::reinterpret_steal<py::object>(PyCFunction_New(&method, self.ptr()));
  }

 private:
  static PyObject* call(PyObject* self, PyObject* text) {
    auto* const encoder = static_cast<TextEncoder*>(PyCapsule_GetPointer(self, nullptr));
    try {
      return encoder->call_.encode_text(encoder->route_, text).release().ptr();
    } catch (py::error_already_set& error) {
      error.restore();
    } catch (const py::builtin_exception& error) {
      error.set_error();
    } catch (const std::bad_alloc&) {
      PyErr_NoMemory();
    } catch (const std::invalid_argument& error) {
      PyErr_SetString(PyExc_ValueError, error.what());
    }
    return nullptr;
  }

  const py::object engine_, added_, form_;  // kept for the two below
  Engine& call_;
  const tokenmill::TextRoute route_;
};

using tokenmill::TokenBytes;

// The bytes of ids, as `make(data, size)` makes an object of them.
template <class Make>
py::object decode(const TokenBytes& tokens, py::handle ids, Make make) {
  return tokenmill::with_ids(ids, [&](const auto* numbers, size_t count) -> py::object {
    std::optional<py::gil_scoped_release> release;
    if (count > kShortIds) release.emplace();
    const size_t size = tokens.size_of(numbers, count);
    char few[1024];
    std::unique_ptr<char[]> many;
    if (size + TokenBytes::kAtOnce > sizeof few) many.reset(new char[size + TokenBytes::kAtOnce]);
    char* const text = many ? many.get() : few;
    tokens.copy_to(numbers, count, text);
    release.reset();
    PyObject* const made = make(text, Py_ssize_t(size));
    if (!made) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(made);
  });
}

// See _native.pyi.
py::array_t<uint64_t> text_hashes(const py::buffer& data, const Array<int64_t>& offsets) {
  const py::buffer_info info = data.request();
  const tokenmill::Documents texts = to_documents(info, offsets);
  py::array_t<uint64_t> hashes{py::ssize_t(texts.count)};
  uint64_t* const out = hashes.mutable_data();
  const py::gil_scoped_release release;
  tokenmill::hash_documents(texts, out);
  return hashes;
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  py::class_<AddedTokens>(module, "AddedTokens")
      .def(py::init<const std::vector<std::vector<std::tuple<std::string, int32_t, bool>>>&>(),
           "levels"_a)
      .def("scan", &AddedTokens::scan, "data"_a, "offsets"_a);
  py::class_<Vocabulary, std::shared_ptr<Vocabulary>>(module, "Vocabulary")
      .def(py::init(&make_vocabulary), "token_bytes"_a, "token_offsets"_a,
           "merged"_a = py::none(), "external"_a = Array<TokenId>(0),
           "external_at"_a = Array<uint32_t>(0))
      .def("parts", &parts);
  py::class_<Engine>(module, "Engine")
      .def(py::init<std::shared_ptr<Vocabulary>, const std::vector<StageTuple>&,
                    const std::optional<WindowsTuple>&, size_t>(),
           "vocabulary"_a, "stages"_a, "windows"_a, "cache_bytes"_a)
      .def("encode_documents", &Engine::encode_documents, "data"_a, "offsets"_a, "kinds"_a,
           "first"_a, "begin"_a = py::none(), "end"_a = py::none(), "bytes_per_token"_a = 4)
      .def("encode_texts", &Engine::encode_texts, "added"_a, "data"_a, "offsets"_a,
           "begin"_a = py::none(), "end"_a = py::none(), "bytes_per_token"_a = 4)
      .def("text_encoder", &TextEncoder::of, "added"_a, "form"_a = py::none(),
           "begin"_a = py::none(), "end"_a = py::none())
      .def("pretokens", &Engine::pretokens, "utf8"_a);
  py::class_<TokenBytes>(module, "TokenBytes")
      .def(py::init([](const py::bytes& token_bytes, const Array<uint64_t>& token_offsets) {
             return TokenBytes(std::string(token_bytes), to_vector(token_offsets));
           }),
           "token_bytes"_a, "token_offsets"_a)
      .def("decode_bytes",
           [](const TokenBytes& self, py::handle ids) {
             return decode(self, ids, PyBytes_FromStringAndSize);
           }, "ids"_a)
      .def("decode",
           [](const TokenBytes& self, py::handle ids) {
             return decode(self, ids, [](const char* text, Py_ssize_t size) {
               return PyUnicode_DecodeUTF8(text, size, "replace");
             });
           }, "ids"_a);
  module.def("text_hashes", &text_hashes, "data"_a, "offsets"_a);
  py::class_<QuickCheck>(module, "QuickCheck")
      .def(py::init([](const Array<uint8_t>& class_of, const Array<uint8_t>& follows,
                       size_t classes, size_t starters) {
             return QuickCheck(to_vector(class_of), to_vector(follows), classes, starters);
           }),
           "class_of"_a, "follows"_a, "classes"_a, "starters"_a)
      .def(
          "spans",
          [](const QuickCheck& self, const py::buffer& data, const Array<int64_t>& offsets) {
            const py::buffer_info info = data.request();
            const tokenmill::Documents texts = to_documents(info, offsets);
            std::vector<int64_t> bounds;
            {
              const py::gil_scoped_release release;
              for (size_t i = 0; i < texts.count; ++i)
                self.find_spans(texts[i], texts.offsets[i], bounds);
            }
            return to_array(bounds);
          },
          "data"_a, "offsets"_a);
}
