// The body of the split, compiled once for each instruction set: the including file defines
// `follow_run(run, at)`, which gives the RunEnd of at[0..15], in the same namespace first.

// The class of the character at `at`, and how many bytes it has.
template <bool kOnBytes = false>
TOKENMILL_INLINE uint8_t class_at(const SplitTable& table, const uint8_t* at, unsigned& bytes) {
  bytes = 1;
  if (*at < 0x80) return table.class_of_ascii(*at);
  if (kOnBytes) return table.class_of(*at);
  const Decoded decoded = decode_multibyte(at);
  bytes = decoded.bytes;
  return table.class_of(decoded.code_point);
}

// The end of the pretoken that starts at `begin`, when `at` has been reached in `state`; nullptr
// when no match ends at or behind `at`.
template <bool kOnBytes = false>
static const uint8_t* walk(const SplitTable& table, const uint8_t* at, const uint8_t* end,
                           uint16_t state) {
  const uint8_t* last = nullptr;
  for (;;) {
    unsigned bytes = 0;
    const uint16_t entry = table.step(
        state, at == end ? table.end_class() : class_at<kOnBytes>(table, at, bytes));
    if (entry & SplitTable::kAcceptBefore) last = at;
    state = entry & uint16_t(~SplitTable::kAcceptBefore);
    if (state == 0) return last;
    at += bytes;
  }
}

// The end of the gap at `at`, where no match begins: where the next one does, or the end of text.
template <bool kOnBytes = false>
static const uint8_t* end_of_gap(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  do at += kOnBytes || *at < 0x80 ? 1 : decode_multibyte(at).bytes;
  while (at < end && !walk<kOnBytes>(table, at, end, SplitTable::kStart));
  return at;
}

// As `end_of_pretoken`, without shortcuts.
static const uint8_t* walk_or_gap(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  if (const uint8_t* const stop = walk(table, at, end, SplitTable::kStart)) return stop;
  return end_of_gap(table, at, end);
}

// Goes on from `at`, reached in `state`, by whole runs. Where a match ends on the way to `at` is not
// known: if it ends nowhere behind, all is walked again from `begin`.
static const uint8_t* follow_runs(const SplitTable& table, const uint8_t* begin, const uint8_t* at,
                                  const uint8_t* end, uint16_t state) {
  const uint8_t* last = nullptr;
  while (at < end) {
    if (*at < 0x80) {
      const RunEnd run = follow_run(table.run(uint8_t(state)), at);
      at += run.length;
      if (at >= end) break;
      if (run.ends) return at;
      if (run.length && table.loop_accepts(uint8_t(state))) last = at - 1;
      if (run.length == 16) continue;
    }
    unsigned bytes;
    const uint16_t entry = table.step(state, class_at(table, at, bytes));
    if (entry & SplitTable::kAcceptBefore) last = at;
    state = entry & uint16_t(~SplitTable::kAcceptBefore);
    if (state == SplitTable::kDead && last) return last;
    if (state == SplitTable::kDead || state >= SplitTable::kEndsAfterOne) break;
    at += bytes;
  }
  return walk_or_gap(table, begin, end);
}

TOKENMILL_INLINE const uint8_t* end_of_pretoken(const SplitTable& table, const uint8_t* begin,
                                                const uint8_t* end) {
  if ((begin[0] | begin[1]) >= 0x80)
    return follow_runs(table, begin, begin, end, SplitTable::kStart);
  const uint8_t state = table.after_two(begin[0], begin[1]);
  const uint8_t* const at = begin + 2 - (state == SplitTable::kEndsAfterOne);
  const RunEnd run = follow_run(table.run(state), at);
  const uint8_t* const stop = at + run.length;
  if (run.ends & (stop < end)) return stop;
  return follow_runs(table, begin, at, end, state);
}

// Makes the text from `at` to `stop` the lane's pretoken number `i`.
TOKENMILL_INLINE void put(const PretokenCache& cache, const uint8_t* at, const uint8_t* stop,
                          Lane& lane, size_t i) {
  const auto bytes = uint32_t(stop - at);
  const ShortKey key = ShortKey::of(at, bytes);
  const uint32_t hash = key.short_hash();
  cache.prefetch_hot(hash);
  lane.block.pretokens[i] = {key, at, bytes, hash};
}

// Cuts the pretoken at `at` off, as the lane's number `i`; returns its end. The lane itself is not
// touched: where the next pretoken begins stays in a register.
TOKENMILL_INLINE const uint8_t* cut(const SplitTable& table, const PretokenCache& cache,
                                 const uint8_t* at, Lane& lane, size_t i) {
  const uint8_t* const stop = end_of_pretoken(table, at, lane.end);
  put(cache, at, stop, lane, i);
  return stop;
}

static void split_lanes(const std::vector<SplitStage>& stages, const PretokenCache& cache, Lane& a,
                        Lane& b) {
  const SplitTable& table = stages[0].table;
  a.block.count = b.block.count = 0;
  size_t i = 0;
  const uint8_t *a_at = a.at, *b_at = b.at;
  if (a_at < a.end && b_at < b.end) {
    for (; i < kBlockPretokens && a_at < a.end && b_at < b.end; ++i) {
      a_at = cut(table, cache, a_at, a, i);
      b_at = cut(table, cache, b_at, b, i);
    }
    a.block.count = b.block.count = i;
    a.at = a_at;
    b.at = b_at;
    return;
  }
  Lane& lane = a_at < a.end ? a : b;
  const uint8_t* at = lane.at;
  for (; i < kBlockPretokens && at < lane.end; ++i) at = cut(table, cache, at, lane, i);
  lane.block.count = i;
  lane.at = at;
}
