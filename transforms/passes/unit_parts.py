"""Large inputs as several units: what makes one file as easy to spread as many.

    a.jsonl, 700 MB ─ find_parts ─► a.jsonl/part-00000   bytes         0 to 233,333,333
                                    a.jsonl/part-00001   bytes 233,333,333 to 466,666,666
                                    a.jsonl/part-00002   bytes 466,666,666 to 700,000,000

The units follow from the file and the settings alone, so each is the same on any runner.
"""

import dataclasses

from transforms.passes.work_pass import WorkUnit
from transforms.reading import ReadSettings, find_parts
from transforms.shards.unit_names import part_name


def split_unit(unit: WorkUnit, read: ReadSettings) -> tuple[WorkUnit, ...]:
    """The units that an input is read as, in the order of their documents.

    Args:
        unit: all of the input. read: how it is read, and how large a unit may be.

    Raises:
        ConfigurationError: the input's format is unknown.
        OSError: a large input can not be opened or read.
    """
    parts = find_parts(unit.path, unit.size_bytes, read)
    if not parts:
        return (unit,)
    return tuple(
        dataclasses.replace(
            unit,
            name=part_name(unit.name, number, len(parts)),
            size_bytes=stop - start,
            part=(start, stop),
        )
        for number, (start, stop) in enumerate(parts)
    )
