#include "split.h"

#include "utf8.h"

namespace tokenmill {

namespace {

// The class of the character at `at`, and how many bytes it has.
template <bool kOnBytes>
uint8_t class_at(const SplitTable& table, const uint8_t* at, unsigned& bytes) {
  bytes = 1;
  if (*at < 0x80) return table.class_of_ascii(*at);
  if (kOnBytes) return table.class_of(*at);
  const Decoded decoded = decode_multibyte(at);
  bytes = decoded.bytes;
  return table.class_of(decoded.code_point);
}

// The end of the match that starts at `at`; nullptr when there is none.
template <bool kOnBytes = false>
const uint8_t* match_end(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  const uint8_t* last = nullptr;
  for (uint32_t row = table.start();;) {
    unsigned bytes = 0;
    const uint32_t entry = table.entry(
        row, at == end ? table.end_class() : class_at<kOnBytes>(table, at, bytes));
    if (entry & SplitTable::kAcceptBefore) last = at;
    row = entry & ~SplitTable::kAcceptBefore;
    if (row == SplitTable::kDead) return last;
    at += bytes;
  }
}

// The end of the gap at `at`, where no match begins: where the next one does, or the end of text.
template <bool kOnBytes = false>
const uint8_t* end_of_gap(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  do at += kOnBytes || *at < 0x80 ? 1 : decode_multibyte(at).bytes;
  while (at < end && !match_end<kOnBytes>(table, at, end));
  return at;
}

// Makes the text from `at` to `stop` the next pretoken of the block.
inline void add_pretoken(const PretokenCache& cache, const uint8_t* at, const uint8_t* stop,
                Pretoken& pretoken) {
  const auto bytes = uint32_t(stop - at);
  const ShortKey key = ShortKey::of(at, bytes);
  const uint32_t hash = key.short_hash();
  cache.prefetch_set(hash);
  pretoken = {key, at, bytes, hash};
}

// A match of a stage, or what lies between two.
struct Span {
  const uint8_t* end;
  bool is_match;
};

template <bool kOnBytes>
Span next_span(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  if (const uint8_t* const stop = match_end<kOnBytes>(table, at, end))
    return {stop, true};
  return {end_of_gap<kOnBytes>(table, at, end), false};
}

// The piece that begins at `at`, where another has ended: its matches and gaps joined as the behavior says.
Span piece(const SplitStage& stage, const uint8_t* at, const uint8_t* end) {
  const auto next = [&stage, end](const uint8_t* from) {
    Span found = stage.on_bytes ? next_span<true>(stage.table, from, end)
                                   : next_span<false>(stage.table, from, end);
    found.is_match ^= stage.invert;
    return found;
  };
  Span whole = next(at);
  if (stage.behavior == SplitStage::kContiguous) {
    for (Span more; whole.end < end && (more = next(whole.end)).is_match == whole.is_match;)
      whole.end = more.end;
  } else if (whole.end < end && ((stage.behavior == SplitStage::kMergedWithNext && whole.is_match) ||
                                 (stage.behavior == SplitStage::kMergedWithPrevious &&
                                  !whole.is_match))) {
    const Span more = next(whole.end);
    if (more.is_match != whole.is_match) whole.end = more.end;
  }
  return whole;
}

// A place is a cut when its verdict says so, and which of two verdicts counts depends on whether
// the place before is a cut:
//
//   cut[i] = cut[i - 1] ? single[i] : cut[i]
//
// As in a carry-lookahead adder, what k places amount to doubles k at each step.
uint64_t resolve(uint64_t cut, uint64_t single) {
  uint64_t differ = cut ^ single;
  // Two steps are nearly always enough; to leave before them would not be predictable.
  for (unsigned k = 1; k <= 2 || (differ && k < 64); k *= 2) {
    cut ^= differ & cut << k;
    differ &= differ << k;
  }
  return cut;
}

// Where pretokens end that are counted: a run of places is cut at every `max_run`-th byte from where its
// pretoken begins. `begun`: how many bytes the one has that goes on at place 0; 0 where none does.
uint64_t by_count(uint64_t count, size_t begun, unsigned max_run) {
  uint64_t all = count;  // the places that are counted like the `max_run` - 1 before
  for (unsigned k = 1; k < max_run; ++k) all &= count << k;
  uint64_t cuts = (count & ~(count << 1)) << (max_run - 1) & all;
  if (begun && begun <= max_run && count & 1) {  // then that one began before place 0
    const uint64_t cut = uint64_t{1} << (max_run - begun);
    cuts &= ~(uint64_t{1} << (max_run - 1));
    if ((count & (2 * cut - 1)) == 2 * cut - 1) cuts |= cut;
  }
  for (uint64_t more = cuts; more; cuts |= more) more = more << max_run & all;
  return cuts;
}

}  // namespace

void Split::cut(Cursor& cursor, const PretokenCache& cache, Block& block) const {
  block.count = 0;
  if (windows_)
    cut_by_windows(cursor, cache, block);
  else
    cut_by_stages(cursor, cache, block);
}

void Split::cut_by_windows(Cursor& cursor, const PretokenCache& cache, Block& block) const {
  const uint8_t *at = cursor.at, *const end = cursor.end;
  size_t count = 0;
  const auto end_pretoken = [&](const uint8_t* stop) {
    add_pretoken(cache, at, stop, block.pretokens[count++]);
    at = stop;
  };
  const uint8_t* first = at + 1;  // of 64 places
  Verdicts verdicts{};
  uint64_t begin = 0;  // the place after the first byte of the pretoken that goes on
  bool looked_up = false;
  while (count <= kBlockPretokens - 65 && at < end) {
    if (!looked_up) {
      verdicts = windows_->verdicts_at(first, end);
      begin = at + 1 == first;
      looked_up = true;
    }
    const uint64_t from = begin ? -begin : ~uint64_t{0};
    const uint64_t single = verdicts.single & from;
    uint64_t cut = verdicts.cut;
    if (const uint64_t counted = verdicts.count & from)
      cut |= by_count(counted, begin ? 0 : size_t(first - at), windows_->max_run());
    const uint64_t cuts = resolve((cut & from & ~begin) | (single & begin), single);
    const uint64_t undecided = verdicts.undecided & from & (cuts | cuts << 1 | begin);
    for (uint64_t sure = cuts & ~undecided & (undecided - 1); sure; sure &= sure - 1)
      end_pretoken(first + __builtin_ctzll(sure));
    if (!undecided) {
      first += 64;
      looked_up = false;
      continue;
    }
    size_t place;
    do {
      const uint8_t* const stop = match_end(stages_[0].table, at, end);
      end_pretoken(stop ? stop : end_of_gap(stages_[0].table, at, end));
      place = size_t(at + 1 - first);
    } while (at < end && count < kBlockPretokens &&
             (place < 64 ? verdicts.undecided >> place & 1 : (at[0] | at[1]) >= 0x80));
    looked_up = place < 64;
    if (looked_up)
      begin = uint64_t{1} << place;
    else
      first = at + 1;
  }
  cursor.at = at;
  block.count = count;
}

// Pieces nest: the one a stage is splitting ends where or before that of the stage before it does.
// So at any place the deepest stage whose piece goes on is the one to split next, and each stage
// after it then begins with a new piece.
void Split::cut_by_stages(Cursor& cursor, const PretokenCache& cache, Block& block) const {
  const size_t last = stages_.size() - 1;
  while (block.count < kBlockPretokens && cursor.at < cursor.end) {
    cursor.piece_end[0] = cursor.end;
    size_t i = last;
    while (!cursor.piece_end[i] || cursor.piece_end[i] <= cursor.at) --i;
    for (;; ++i) {
      const Span found = piece(stages_[i], cursor.at, cursor.piece_end[i]);
      const bool removed = found.is_match && stages_[i].behavior == SplitStage::kRemoved;
      if (i < last && !removed) {
        cursor.piece_end[i + 1] = found.end;
        continue;
      }
      if (!removed) add_pretoken(cache, cursor.at, found.end, block.pretokens[block.count++]);
      cursor.at = found.end;
      break;
    }
  }
}

}  // namespace tokenmill
