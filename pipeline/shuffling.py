"""Runs the first pass of a global shuffle, and clears what it wrote.

OUT/shuffle/receipts, tokens, documents   blocks: there until the export is complete
"""

import os
import shutil
from collections.abc import Callable

from pipeline.failures import raise_unit_failures
from pipeline.progress import PassProgress
from pipeline.runners import Running, run_pass
from transforms.exports.plan import ExportPlan
from transforms.passes.export import Blocks, ExportPass
from transforms.passes.scatter import ScatterPass
from transforms.passes.work_pass import committed_receipt
from transforms.shards.build import Build
from transforms.shards.layout import RUNS
from transforms.shards.recovery import clear_run

FOLDER = "shuffle"


def scatter(work: ExportPass, plan: ExportPlan, place: Build, running: Running) -> Blocks:
    """Writes the blocks that are not there yet.

    Args:
        work: the pass that will gather them. plan: of the export. place: the folder of the blocks.

    Raises:
        TokenmillError, OSError: it failed; running it again resumes.
    """
    assert plan.grid is not None
    count = len(plan.blocks)
    blocks = ScatterPass(work.source, work.settings, work.splitter, plan.grid, count)
    pending = [unit for unit in plan.blocks if committed_receipt(blocks, unit, place) is None]
    if pending:
        with PassProgress("scatter", place, pending) as progress:
            run_pass(blocks, pending, place, running, progress.update)
        raise_unit_failures(place, [unit.name for unit in pending])
    manifest = work.source.manifest()
    return Blocks(place, count, manifest.shards[0].dtype if manifest.shards else "<u4")


def remove_blocks(place: Build, on_refused: Callable[[Exception], None]) -> None:
    """Removes the folder of the blocks: it is named and filled by this module alone.

    Args:
        place: the folder. on_refused: as of clear_run.
    """
    if not place.is_local:
        # Under the lease of the export nobody else writes there. Claims of workers elsewhere are in
        # `runs`, which no lease of the export clears.
        below_runs = place.files_below(RUNS)
        for run in sorted({place.run, *(path.split("/")[1] for path in below_runs)}):
            clear_run(place, run, on_refused)
        place.delete(sorted({**place.files(), **below_runs}))
    elif os.path.isdir(place.root):
        shutil.rmtree(place.root)
