// Encodes whatever the input bytes describe and compares with the oracle; any difference ends the
// process. libFuzzer calls LLVMFuzzerTestOneInput; replay.cc does so for stored inputs.
//
//   byte 0     which split table
//   byte 1     flags, see below
//   byte 2     seed of the order of ids; of begin and end; of external ids
//   with kExtras a byte of extras, how the first stage cuts, and of each further stage the table and
//   how it cuts
//   a byte     m, how many merges the vocabulary has
//   2 * m      left and right part of each: a byte (below 128, see part_of), or an earlier merge
//   the rest   documents: UTF-8 or not, with these bytes as commands
//                0xFF        the next document
//                0xFE n k    the last n + 1 bytes of the document again, k + 1 times
//                0xFD i      the bytes of merge i
//                0xFC a b c  the character (a b c) modulo all there are
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "batch.h"
#include "oracle.h"
#include "split_of.h"
#include "tables.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

enum Flags : uint8_t {
  kBegin = 1,
  kEnd = 2,
  kShuffledIds = 4,  // of merges, and of bytes as well: ranks are in no order
  kGaps = 8,         // numbers that no token has
  kLargeIds = 16 + 64,  // both bits, as it is slow: merges have ids that do not fit into 16 bits
  kOffset = 32,      // the first document begins after the beginning of the data
  kExtras = 128,
};

enum Extras : uint8_t {
  kStages = 3,  // these bits: how many more there are
  kIrregular = 4,  // the last third of the ids is of whole pretokens only
  kExternal = 8,  // ids are external as others, by an odd seed some as two
  kMatched = 16,   // special texts become their ids
};
constexpr uint32_t kSpecialId = 2000000;

constexpr size_t kMaxBytes = 12000;  // of all documents: a pretoken may pass the cache's 8192
constexpr size_t kMaxTokenBytes = 300;
const std::vector<std::string> kSpecialTexts = {"<|a|>", "<|ab|>", "aa"};

// The input, zeros when it has ended.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool ended() const { return at_ == end_; }
  uint8_t next() { return ended() ? uint8_t{0} : *at_++; }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
};

struct Case {
  std::vector<oracle::Stage> stages;
  uint8_t flags, extras;
  std::optional<uint32_t> begin, end;
  std::string token_bytes;
  std::vector<uint64_t> token_offsets;
  oracle::Ids ids;
  size_t merged;  // tokens from this on are irregular
  tokenmill::ExternalIds external;
  std::vector<std::string> documents;
};

// A byte that merges are made of: ASCII that matters to split patterns, or a piece of a character.
std::string part_of(uint8_t number) {
  static constexpr uint8_t kOther[] = {
      0xC3, 0xA9, 0xC5, 0xBF, 0xCE, 0xB1, 0xE2, 0x80, 0x89, 0xE4, 0xB8, 0xAD, 0xF0, 0x9F, 0x98,
  };
  if (number > 0 && number <= sizeof kOther) return std::string(1, char(kOther[number - 1]));
  return std::string(1, char(number));
}

std::vector<std::string> read_merges(Input& input) {
  std::vector<std::string> merges;
  const auto part = [&](uint8_t number) {
    return number >= 128 && !merges.empty() ? merges[number % merges.size()]
                                            : part_of(number & 127);
  };
  for (unsigned left = input.next(); left > 0; --left) {
    const std::string first = part(input.next()), second = part(input.next());
    const std::string token = first + second;
    if (token.size() <= kMaxTokenBytes &&
        std::find(merges.begin(), merges.end(), token) == merges.end())
      merges.push_back(token);
  }
  return merges;
}

void make_vocabulary(const std::vector<std::string>& merges, uint32_t seed, Case& made) {
  std::vector<std::string> tokens;
  for (unsigned byte = 0; byte < 256; ++byte) tokens.emplace_back(1, char(byte));
  if ((made.flags & kLargeIds) == kLargeIds) tokens.resize(70000);
  tokens.insert(tokens.end(), merges.begin(), merges.end());
  if (made.flags & kGaps)
    for (size_t i = 3; i <= merges.size(); i += 3) tokens.insert(tokens.end() - ptrdiff_t(i), "");
  if (made.flags & kShuffledIds)
    for (size_t i = tokens.size() - 1; i > 0; --i) {
      seed = seed * 1664525 + 1013904223;
      std::swap(tokens[i], tokens[(seed >> 8) % (i + 1)]);
    }
  made.token_offsets.push_back(0);
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (!tokens[id].empty()) made.ids[tokens[id]] = uint32_t(id);
    made.token_bytes += tokens[id];
    made.token_offsets.push_back(made.token_bytes.size());
  }
  made.merged = (made.extras & kIrregular) ? tokens.size() * 2 / 3 : tokens.size();
}

void to_external(uint8_t seed, Case& made) {
  const bool some_are_two = seed & 1;
  if (some_are_two) made.external.at.push_back(0);
  for (size_t id = 0; id + 1 < made.token_offsets.size(); ++id) {
    const bool is_two = some_are_two && id % 3 == 0 &&
                        made.token_offsets[id + 1] - made.token_offsets[id] > 1;
    for (int i = 0; i <= is_two; ++i) made.external.ids.push_back(uint32_t(id * 7 + seed));
    if (some_are_two) made.external.at.push_back(uint32_t(made.external.ids.size()));
  }
}

// How a stage cuts, as a byte says it. After a stage that cuts bytes there are only others.
void set_cut(uint8_t byte, std::vector<oracle::Stage>& stages) {
  oracle::Stage& stage = stages.back();
  stage.behavior = oracle::Behavior(byte % 5);
  stage.invert = byte & 64;
  stage.on_bytes = byte & 128 || (stages.size() > 1 && stages[stages.size() - 2].on_bytes);
}

void append_character(uint32_t code_point, std::string& out) {
  const auto tail = [&](unsigned shift) { out += char(0x80 | (code_point >> shift & 63)); };
  if (code_point < 0x80) {
    out += char(code_point);
  } else if (code_point < 0x800) {
    out += char(0xC0 | code_point >> 6), tail(0);
  } else if (code_point < 0x10000) {
    out += char(0xE0 | code_point >> 12), tail(6), tail(0);
  } else {
    out += char(0xF0 | code_point >> 18), tail(12), tail(6), tail(0);
  }
}

std::vector<std::string> read_documents(Input& input, const std::vector<std::string>& merges,
                                        size_t max_bytes) {
  std::vector<std::string> documents(1);
  size_t bytes = 0;
  while (!input.ended() && bytes < max_bytes) {
    std::string& document = documents.back();
    const size_t before = document.size();
    const uint8_t byte = input.next();
    if (byte == 0xFF) {
      documents.emplace_back();
    } else if (byte == 0xFE) {
      const std::string again = document.substr(before - std::min<size_t>(input.next() + 1u, before));
      for (size_t times = input.next() + 1u; times > 0 && bytes + document.size() < max_bytes;
           --times)
        document += again;
      bytes += document.size() - before;
    } else if (byte == 0xFD) {
      const size_t number = input.next();
      if (!merges.empty()) document += merges[number % merges.size()];
      bytes += document.size() - before;
    } else if (byte == 0xFC) {
      const uint32_t high = input.next(), middle = input.next();
      append_character((high << 16 | middle << 8 | input.next()) % 0x110000, document);
      bytes += 4;
    } else {
      document += char(byte);
      ++bytes;
    }
  }
  return documents;
}

Case read_case(const uint8_t* data, size_t size) {
  Input input(data, size);
  Case made{};
  const auto next_table = [&input] { return &kTables[input.next() % std::size(kTables)]; };
  made.stages.push_back({next_table()});
  made.flags = input.next();
  const uint8_t seed = input.next();
  if (made.flags & kExtras) {
    made.extras = input.next();
    set_cut(input.next(), made.stages);
    for (unsigned left = made.extras & kStages; left > 0; --left) {
      made.stages.push_back({next_table()});
      set_cut(input.next(), made.stages);
    }
  }
  if (made.flags & kBegin) made.begin = seed;
  if (made.flags & kEnd) made.end = seed * 1000u;
  const std::vector<std::string> merges = read_merges(input);
  make_vocabulary(merges, seed, made);
  if (made.extras & kExternal) to_external(seed, made);
  made.documents = read_documents(input, merges, kMaxBytes);
  return made;
}

const std::vector<tokenmill::AddedTokens>& special_levels(bool plain) {
  static const auto made = [](bool is_plain) {
    std::vector<tokenmill::AddedTokens::Token> tokens;
    for (const std::string& text : kSpecialTexts)
      tokens.push_back({text, int32_t(kSpecialId + tokens.size()), is_plain});
    return std::vector<tokenmill::AddedTokens>{tokenmill::AddedTokens(tokens)};
  };
  static const auto plain_levels = made(true), matched_levels = made(false);
  return plain ? plain_levels : matched_levels;
}

[[noreturn]] void fail(const Case& one, size_t document, const char* what) {
  std::fprintf(stderr, "\n%s\ndocument %zu of %zu, flags %u, extras %u, split", what, document,
               one.documents.size(), one.flags, one.extras);
  for (const oracle::Stage& stage : one.stages)
    std::fprintf(stderr, " %s (behavior %d%s%s)", stage.table->name, stage.behavior,
                 stage.invert ? ", inverted" : "", stage.on_bytes ? ", on bytes" : "");
  std::fprintf(stderr, ":\n");
  for (const char byte : one.documents[document]) std::fprintf(stderr, " %02x", uint8_t(byte));
  std::fprintf(stderr, "\n");
  std::abort();
}

void check(bool holds, const Case& one, size_t document, const char* what) {
  if (!holds) fail(one, document, what);
}

struct Expected {
  bool valid;
  size_t special_texts;
  std::vector<uint32_t> ids;
};

std::vector<uint32_t> ids_of(const Case& one, std::string_view text) {
  std::vector<uint32_t> ids, external;
  for (const std::string_view pretoken : oracle::split(one.stages, text))
    oracle::merge(one.ids, one.merged, pretoken, ids);
  const auto& [all, at] = one.external;
  if (all.empty()) return ids;
  for (const uint32_t id : ids)
    external.insert(external.end(), all.begin() + ptrdiff_t(at.empty() ? id : at[id]),
                     all.begin() + ptrdiff_t(at.empty() ? id + 1 : at[id + 1]));
  return external;
}

Expected expect(const Case& one, const std::string& document) {
  std::vector<oracle::Character> characters;
  Expected expected{oracle::decode(document, characters), 0, {}};
  if (!expected.valid) return expected;
  const std::vector<oracle::Found> found = oracle::find(document, kSpecialTexts);
  if (!(one.extras & kMatched)) {
    expected.special_texts = found.size() - 1;
    expected.ids = ids_of(one, document);
    return expected;
  }
  for (const auto& [text, needle] : found) {
    for (const uint32_t id : ids_of(one, text)) expected.ids.push_back(id);
    if (needle >= 0) expected.ids.push_back(kSpecialId + uint32_t(needle));
  }
  return expected;
}

void check_batch(const Case& one, const std::vector<Expected>& expected,
                 tokenmill::Encoder& encoder) {
  const size_t count = one.documents.size();
  std::vector<int64_t> offsets{(one.flags & kOffset) ? 3 : 0};
  std::string joined(size_t(offsets[0]), '\x80');
  for (const std::string& document : one.documents) {
    joined += document;
    offsets.push_back(int64_t(joined.size()));
  }
  // Nothing lies after the data, so that AddressSanitizer sees what reads there.
  const auto data = std::make_unique<char[]>(joined.size());
  std::memcpy(data.get(), joined.data(), joined.size());
  std::vector<int64_t> token_at(count + 1, -1);
  std::vector<uint32_t> special_texts(count);
  const auto valid = std::make_unique<bool[]>(count);
  std::vector<int64_t> first(count + 1);
  tokenmill::Segments segments;
  const tokenmill::Documents documents{{data.get(), joined.size()}, offsets.data(), count};
  tokenmill::scan_documents(documents, special_levels(!(one.extras & kMatched)),
                            {special_texts.data(), valid.get(), first.data()},
                            segments);
  tokenmill::TokenBuffer tokens;
  tokenmill::encode_documents(
      {{documents.data, segments.offsets.data(), segments.kinds.size()}, segments.kinds.data(),
       first.data(), count},
      one.begin, one.end, encoder, tokens, token_at.data());
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    check(valid[i] == expected[i].valid, one, i, "another opinion of what is UTF-8");
    check(special_texts[i] == expected[i].special_texts, one, i, "special texts are miscounted");
    check(token_at[i] == int64_t(at), one, i, "its ids begin somewhere else");
    std::vector<uint32_t> ids = expected[i].ids;
    if (!ids.empty() && one.begin) ids.insert(ids.begin(), *one.begin);
    if (!ids.empty() && one.end) ids.push_back(*one.end);
    check(tokens.size() - at >= ids.size() &&
              std::equal(ids.begin(), ids.end(), tokens.data() + at),
          one, i, "other ids in a batch");
    at += ids.size();
  }
  check(token_at[count] == int64_t(at) && tokens.size() == at, one, count - 1, "ids left over");
}

void check_alone(const Case& one, size_t document, const Expected& expected,
                 tokenmill::Encoder& encoder) {
  if (!expected.valid || one.documents[document].empty() || one.extras & kMatched) return;
  const size_t bytes = one.documents[document].size();
  const auto padded = std::make_unique<char[]>(bytes + tokenmill::kPaddingBytes);
  std::memcpy(padded.get(), one.documents[document].data(), bytes);
  tokenmill::TokenBuffer tokens;
  encoder.encode({padded.get(), bytes}, tokens);
  check(tokens.size() == expected.ids.size() &&
            std::equal(expected.ids.begin(), expected.ids.end(), tokens.data()),
        one, document, "other ids, encoded alone");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Case one = read_case(data, size);
  std::vector<Expected> expected;
  for (const std::string& document : one.documents) expected.push_back(expect(one, document));
  const tokenmill::Vocabulary vocabulary(one.token_bytes, one.token_offsets, one.merged,
                                         one.external);
  for (const char* const instructions : {"best", "avx2", "plain"}) {
    setenv("TOKENMILL_INSTRUCTIONS", instructions, 1);
    const tokenmill::Model model{vocabulary, tokenmill::MergeBoundaries(vocabulary),
                                 split_of(one.stages), 1};  // the smallest cache
    tokenmill::Encoder encoder(model);
    check_batch(one, expected, encoder);  // cold
    for (size_t i = 0; i < expected.size(); ++i) check_alone(one, i, expected[i], encoder);
    check_batch(one, expected, encoder);  // from the cache
  }
  return 0;
}
