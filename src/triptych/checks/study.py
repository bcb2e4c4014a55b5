"""All checks of the settings of a study against a packed data set."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from triptych.checks.augmentations import check_augmentations
from triptych.checks.networks import check_networks
from triptych.checks.sizes import SizeChecks, check_sizes
from triptych.data.packed import PackedDataset, load_packed
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json


def check_all(dataset: PackedDataset, sizes: Mapping[str, Any], *, memory: bool = True) -> SizeChecks:
    """Check sizes, networks and augmentations; `sizes` as `triptych.config.sizes.sizes_of` returns them.

    With `memory`, batches are compared with the memory of this machine.
    """
    checks = check_sizes(dataset, sizes)
    checks.problems += check_networks(dataset, checks.trainings, memory=memory)
    if dataset.labelled:
        for part in sizes.values():
            checks.problems += check_augmentations(dataset, part.get("augmentations", {}))
    checks.problems[:] = dict.fromkeys(checks.problems)
    return checks


def problems_since_checked(folder: Path, sizes: Mapping[str, Any], *, memory: bool) -> list[str]:
    """What does not fit the packed data set in `folder`, if its checks passed with other sizes.

    Snakemake deletes the outputs of a job that starts again, and trainings may start beside the job that
    repeats the checks. So these settings are checked before any job starts.
    """
    checked = None
    with suppress(OSError, ValueError, KeyError, TypeError):
        checked = read_json(folder / "checked.json")["provenance"]["recipe"]
    if checked in (None, json.loads(json.dumps(sizes))):
        return []  # not checked yet, or damaged: then the job of the checks comes first
    try:
        dataset = load_packed(folder)
    except TriptychError:  # incomplete: a job that needs it comes after the one that packs it
        return []
    return check_all(dataset, sizes, memory=memory).problems
