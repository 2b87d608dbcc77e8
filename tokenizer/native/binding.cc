// The Python face of the engine: checks arguments, raises ValueError, releases the GIL.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "batch.h"
#include "encoder.h"
#include "utf8.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are little-endian words");

namespace py = pybind11;
using namespace py::literals;
using tokenmill::TokenId;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::vector<T> to_vector(const Array<T>& array) {
  return {array.data(), array.data() + array.size()};
}

// A numpy array that owns `data`, which malloc allocated.
template <class T>
py::array adopt(T* data, size_t count) {
  if (!data) return py::array_t<T>(0);
  return py::array_t<T>(py::ssize_t(count), data, py::capsule(data, [](void* p) { std::free(p); }));
}

py::array to_numpy(tokenmill::TokenBuffer& tokens, unsigned bytes_per_token) {
  const size_t count = tokens.size();
  TokenId* const data = tokens.release();
  if (bytes_per_token == 4) return adopt(data, count);
  auto* const narrow = reinterpret_cast<uint16_t*>(data);  // each id is read before it is written
  for (size_t i = 0; i < count; ++i) {
    TokenId id;
    std::memcpy(&id, data + i, sizeof id);
    const auto small = uint16_t(id);
    std::memcpy(narrow + i, &small, sizeof small);
  }
  return adopt(narrow, count);
}

// A stage as _native.pyi has it.
using StageTuple = std::tuple<Array<uint16_t>, Array<uint8_t>, Array<uint16_t>, uint8_t, bool, bool>;

std::vector<tokenmill::SplitStage> to_stages(const std::vector<StageTuple>& tuples) {
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
  return stages;
}

class Engine {
 public:
  Engine(const py::bytes& token_bytes, const Array<uint64_t>& token_offsets,
         const std::vector<StageTuple>& stages, std::vector<std::string> special_texts,
         size_t cache_bytes)
      : model_{{std::string(token_bytes), to_vector(token_offsets)},
               tokenmill::Seams(model_.vocabulary),
               to_stages(stages),
               std::move(special_texts),
               cache_bytes},
        pool_(model_) {
    for (const std::string& text : model_.special_texts)
      if (text.empty()) throw std::invalid_argument("an empty special-token text");
  }

  py::array encode(const py::buffer& utf8) {
    const py::buffer_info info = utf8.request();
    if (info.ndim != 1 || info.itemsize != 1 || (info.size > 1 && info.strides[0] != 1))
      throw std::invalid_argument("expected contiguous bytes");
    tokenmill::TokenBuffer tokens;
    tokenmill::EncoderPool::Loan encoder(pool_);  // with the GIL held; see EncoderPool
    {
      const py::gil_scoped_release release;
      const std::string_view text(static_cast<const char*>(info.ptr), size_t(info.size));
      if (!tokenmill::is_valid_utf8(text)) throw std::invalid_argument("the text is not UTF-8");
      if (text.size() >> 32) throw std::invalid_argument("a document of 4 GiB or more");
      std::string padded(text);
      padded.append(tokenmill::kPaddingBytes, '\0');
      encoder->encode({padded.data(), text.size()}, tokens);
    }
    return to_numpy(tokens, 4);
  }

  // See _native.pyi.
  py::tuple encode_documents(const py::buffer& data, const Array<int64_t>& offsets,
                             std::optional<TokenId> begin, std::optional<TokenId> end,
                             unsigned bytes_per_token) {
    const py::buffer_info info = data.request();
    const auto buffer_bytes = info.size * info.itemsize;
    if (offsets.ndim() != 1 || offsets.size() < 1)
      throw std::invalid_argument("offsets must hold one number more than there are documents");
    if (bytes_per_token != 2 && bytes_per_token != 4)
      throw std::invalid_argument("a token takes 2 or 4 bytes");
    if (bytes_per_token == 2 &&
        (model_.vocabulary.size() > 65536 || begin.value_or(0) > 65535 || end.value_or(0) > 65535))
      throw std::invalid_argument("ids above 65535 do not fit into 2 bytes");
    const auto count = size_t(offsets.size() - 1);
    const int64_t* const at = offsets.data();
    for (size_t i = 0; i < count; ++i)
      if (at[i] < 0 || at[i + 1] < at[i] || at[i + 1] > buffer_bytes ||
          (at[i + 1] - at[i]) >> 32)
        throw std::invalid_argument("an offset is out of order or out of range");
    py::array_t<int64_t> token_offsets(py::ssize_t(count + 1));
    py::array_t<uint64_t> hashes{py::ssize_t(count)};
    py::array_t<uint32_t> specials{py::ssize_t(count)};
    py::array_t<bool> valid{py::ssize_t(count)};
    const tokenmill::Documents documents{
        {static_cast<const char*>(info.ptr), size_t(buffer_bytes)}, at, count};
    const tokenmill::Findings found{token_offsets.mutable_data(), hashes.mutable_data(),
                                    specials.mutable_data(), valid.mutable_data()};
    tokenmill::TokenBuffer tokens;
    tokenmill::EncoderPool::Loan encoder(pool_);
    {
      const py::gil_scoped_release release;
      tokenmill::encode_documents(documents, model_.special_texts, begin, end, *encoder, found,
                                  tokens);
    }
    return py::make_tuple(to_numpy(tokens, bytes_per_token), token_offsets, hashes, specials,
                          valid);
  }

  py::bytes decode(const Array<uint32_t>& ids) const {
    const uint32_t* const at = ids.data();
    std::string text;
    for (py::ssize_t i = 0; i < ids.size(); ++i) {
      if (at[i] >= model_.vocabulary.size() || model_.vocabulary.bytes_of(at[i]).empty())
        throw std::invalid_argument("id " + std::to_string(at[i]) + " at index " +
                                    std::to_string(i) + " is no ordinary token");
      text.append(model_.vocabulary.bytes_of(at[i]));
    }
    return text;
  }

  // Each pretoken of a document: where it begins and ends, and its ids. For inspection, not speed.
  std::vector<tokenmill::Encoder::Inspected> pretokens(const std::string& utf8) {
    if (!tokenmill::is_valid_utf8(utf8)) throw std::invalid_argument("the text is not UTF-8");
    std::string padded = utf8;
    padded.append(tokenmill::kPaddingBytes, '\0');
    return tokenmill::EncoderPool::Loan(pool_)->inspect({padded.data(), utf8.size()});
  }

 private:
  const tokenmill::Model model_;
  tokenmill::EncoderPool pool_;
};

}  // namespace

PYBIND11_MODULE(_native, module) {
  py::class_<Engine>(module, "Engine")
      .def(py::init<const py::bytes&, const Array<uint64_t>&, const std::vector<StageTuple>&,
                    std::vector<std::string>, size_t>(),
           "token_bytes"_a, "token_offsets"_a, "stages"_a, "special_texts"_a, "cache_bytes"_a)
      .def("encode", &Engine::encode, "utf8"_a)
      .def("encode_documents", &Engine::encode_documents, "data"_a, "offsets"_a,
           "begin"_a = py::none(), "end"_a = py::none(), "bytes_per_token"_a = 4)
      .def("decode", &Engine::decode, "ids"_a)
      .def("pretokens", &Engine::pretokens, "utf8"_a);
  module.def(
      "parse_tiktoken",
      [](const py::bytes& file) {
        const tokenmill::TokenTable table = tokenmill::parse_tiktoken(std::string_view(file));
        py::array_t<uint64_t> offsets(py::ssize_t(table.offsets.size()), table.offsets.data());
        return py::make_tuple(py::bytes(table.bytes), offsets);
      },
      "file"_a);
  module.def("instruction_set",
             [] { return tokenmill::split_name(tokenmill::choose_split()); });
}
