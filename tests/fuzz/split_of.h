// The split of the engine by a table of tables.h.
#pragma once

#include "oracle.h"
#include "split.h"

inline tokenmill::Split split_of(const TableData& data) {
  const tokenmill::SplitTable table(
      {data.page_of, data.page_of + 0x1100}, {data.pages, data.pages + data.pages_bytes},
      {data.transitions, data.transitions + data.states * data.columns}, data.states);
  return {{{table, tokenmill::SplitStage::kIsolated, false, false}},
          tokenmill::SplitWindows({data.group_of, data.group_of + 128},
                                  {data.verdicts, data.verdicts + 512}, data.most)};
}
