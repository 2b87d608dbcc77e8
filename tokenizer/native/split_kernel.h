// The body of the split, compiled once for each instruction set: the including file defines
// `run_length(loop, at)`, the number of leading bytes of at[0..15] that are in a loop (see
// SplitTable), in the same namespace first.

// The end of the pretoken that starts at `begin`, when `at` has been reached in `state`; nullptr
// when no match ends at or behind `at`.
static const uint8_t* walk(const SplitTable& table, const uint8_t* at, const uint8_t* end,
                           uint16_t state) {
  const uint8_t* last = nullptr;
  for (;;) {
    uint8_t character_class;
    unsigned bytes = 1;
    if (at == end) {
      character_class = table.end_class();
    } else if (*at < 0x80) {
      character_class = table.class_of_ascii(*at);
    } else {
      const Decoded decoded = decode_multibyte(at);
      character_class = table.class_of(decoded.code_point);
      bytes = decoded.bytes;
    }
    const uint16_t entry = table.step(state, character_class);
    if (entry & SplitTable::kAcceptBefore) last = at;
    state = entry & uint16_t(~SplitTable::kAcceptBefore);
    if (state == 0) return last;
    at += bytes;
  }
}

// The end of the gap at `at`, where no match begins: where the next one does, or the end of text.
static const uint8_t* end_of_gap(const SplitTable& table, const uint8_t* at, const uint8_t* end) {
  do at += *at < 0x80 ? 1 : decode_multibyte(at).bytes;
  while (at < end && !walk(table, at, end, SplitTable::kStart));
  return at;
}

static inline const uint8_t* end_of_pretoken(const SplitTable& table, const uint8_t* at,
                                             const uint8_t* end) {
  if (end - at >= 2 && (at[0] | at[1]) < 0x80) {
    const uint8_t state = table.after_two(at[0], at[1]);
    if (state == SplitTable::kEndsAfterOne) return at + 1;
    if (state != SplitTable::kNoShortcut) {
      const uint8_t* run = at + 2;
      size_t length;
      do run += length = run_length(table.loop(state), run);
      while (length == 16 && run < end);
      if (run > end) run = end;  // the run went on into what lies behind the document
      if (run < end && *run < 0x80 &&
          table.step(state, table.class_of_ascii(*run)) == SplitTable::kEnd)
        return run;
      if (const uint8_t* const stop = walk(table, run, end, state)) return stop;
    }
  }
  if (const uint8_t* const stop = walk(table, at, end, SplitTable::kStart)) return stop;
  return end_of_gap(table, at, end);
}

static inline void cut(const SplitTable& table, Lane& lane) {
  const uint8_t* const stop = end_of_pretoken(table, lane.at, lane.end);
  const size_t i = lane.block.count++;
  lane.block.begin[i] = lane.at;
  lane.block.bytes[i] = uint32_t(stop - lane.at);
  lane.at = stop;
}

static void split_lanes(const SplitTable& table, Lane& a, Lane& b) {
  a.block.count = b.block.count = 0;
  if (a.at < a.end && b.at < b.end) {
    do {
      cut(table, a);
      cut(table, b);
    } while (a.block.count < kBlockPretokens && a.at < a.end && b.at < b.end);
    return;
  }
  Lane& lane = a.at < a.end ? a : b;
  do cut(table, lane);
  while (lane.block.count < kBlockPretokens && lane.at < lane.end);
}
