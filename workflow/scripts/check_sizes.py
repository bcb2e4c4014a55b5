"""Compare what all parts ask of a data set with its sizes, and try their networks, before anything trains."""

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.checks.networks import check_networks
from triptych.checks.sizes import check_sizes
from triptych.data.packed import load_packed
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import write_json
from triptych.workflow.job import job, log

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe, dataset = snakemake.params.recipe, load_packed(Path(snakemake.input.data[0]).parent)
        checks = check_sizes(dataset, recipe)
        for note in dict.fromkeys(note for notes in checks.notes.values() for note in notes):
            log.info("%s", note)
        problems = list(dict.fromkeys([*checks.problems, *check_networks(dataset, checks.trainings)]))
        if problems:
            raise TriptychError("\n".join(problems))
        write_json(
            snakemake.output[0], {"notes": checks.notes, "provenance": running.provenance(recipe=recipe)}
        )
