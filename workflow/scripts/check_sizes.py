"""Before anything trains: compare what all parts ask of a data set with its sizes, and try modules."""

from pathlib import Path

from triptych.checks.study import check_all
from triptych.data.packed import load_packed
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import write_json
from triptych.workflow.job import job, log

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe, dataset = snakemake.params.recipe, load_packed(Path(snakemake.input.data[0]).parent)
        checks = check_all(dataset, recipe)
        for note in dict.fromkeys(note for notes in checks.notes.values() for note in notes):
            log.info("%s", note)
        if checks.problems:
            raise TriptychError("\n".join(checks.problems))
        write_json(
            snakemake.output[0], {"notes": checks.notes, "provenance": running.provenance(recipe=recipe)}
        )
