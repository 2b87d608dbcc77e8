// Eight threads with one model and one pool of encoders, for ThreadSanitizer; ids are compared
// with the oracle's.
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "encoder.h"
#include "oracle.h"
#include "split_of.h"
#include "tables.h"

namespace {

constexpr unsigned kThreads = 8, kRounds = 20;

const TableData& table_named(const char* name) {
  const TableData* table = kTables;
  while (std::strcmp(table->name, name) != 0) ++table;
  return *table;
}

// Bytes, then all pairs and fours of some letters: merges enough for ids from every part of merge.h.
std::vector<std::string> make_tokens() {
  std::vector<std::string> tokens, pairs;
  for (unsigned byte = 0; byte < 256; ++byte) tokens.emplace_back(1, char(byte));
  for (const char left : std::string(" etao"))
    for (const char right : std::string("etao")) pairs.push_back({left, right});
  tokens.insert(tokens.end(), pairs.begin(), pairs.end());
  for (size_t i = 0; i + 3 < pairs.size(); ++i) tokens.push_back(pairs[i] + pairs[i + 3]);
  return tokens;
}

std::string make_document(uint32_t seed) {
  std::string document;
  for (unsigned words = 0; words < 300; ++words) {
    seed = seed * 1664525 + 1013904223;
    const unsigned letters = words % 50 == 49 ? 200 : 1 + (seed >> 8) % 30;
    for (unsigned i = 0; i < letters; ++i) {
      seed = seed * 1664525 + 1013904223;
      document += "etao"[seed >> 30];
    }
    document += words % 7 ? " " : "\xE4\xB8\xAD\n\n";
  }
  return document;
}

}  // namespace

int main() {
  const TableData& data = table_named("cl100k");
  std::string bytes;
  std::vector<uint64_t> offsets{0};
  oracle::Ids ids;
  for (const std::string& token : make_tokens()) {
    ids[token] = uint32_t(offsets.size() - 1);
    bytes += token;
    offsets.push_back(bytes.size());
  }
  const tokenmill::Vocabulary vocabulary(bytes, offsets, offsets.size() - 1, {});
  const tokenmill::Model model{vocabulary, tokenmill::MergeBoundaries(vocabulary), split_of({{&data}}), 1};
  tokenmill::EncoderPool pool(model);
  std::vector<std::string> documents;
  std::vector<std::vector<uint32_t>> expected(kThreads);
  for (unsigned i = 0; i < kThreads; ++i) {
    documents.push_back(make_document(i));
    for (const std::string_view pretoken : oracle::split({{&data}}, documents[i]))
      oracle::merge(ids, ids.size(), pretoken, expected[i]);
    documents[i].append(tokenmill::kPaddingBytes, '\0');
  }
  std::vector<unsigned> wrong(kThreads, 0);
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&, thread] {
      for (unsigned round = 0; round < kRounds; ++round) {
        const unsigned i = (thread + round) % kThreads;
        tokenmill::TokenBuffer tokens;
        tokenmill::EncoderPool::Loan encoder(pool);
        encoder->encode({documents[i].data(), documents[i].size() - tokenmill::kPaddingBytes},
                        tokens);
        wrong[thread] += tokens.size() != expected[i].size() ||
                         !std::equal(expected[i].begin(), expected[i].end(), tokens.data());
      }
    });
  unsigned sum = 0;
  for (unsigned thread = 0; thread < kThreads; ++thread) threads[thread].join(), sum += wrong[thread];
  std::printf("%u threads, %u documents each: %u wrong\n", kThreads, kRounds, sum);
  return sum != 0;
}
