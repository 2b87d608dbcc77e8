// The split of the engine by tables of tables.h.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "oracle.h"
#include "split.h"

inline tokenmill::Split split_of(const std::vector<oracle::Stage>& stages) {
  std::vector<tokenmill::SplitStage> made;
  for (const oracle::Stage& stage : stages) {
    const TableData& data = *stage.table;
    made.push_back({{{data.page_of, data.page_of + 0x1100},
                     {data.pages, data.pages + data.pages_bytes},
                     {data.transitions, data.transitions + data.states * data.columns},
                     data.states},
                    tokenmill::SplitStage::Behavior(stage.behavior),
                    stage.invert,
                    stage.on_bytes});
  }
  std::optional<tokenmill::SplitWindows> windows;
  const TableData& data = *stages[0].table;
  if (stages.size() == 1 && stages[0].behavior == oracle::kIsolated && !stages[0].on_bytes)
    windows.emplace(std::vector<uint8_t>{data.group_of, data.group_of + 128},
                    std::vector<uint8_t>{data.verdicts, data.verdicts + 512}, data.max_run);
  return {std::move(made), windows};
}
