"""Count the parameters of the report's models."""

from typing import TYPE_CHECKING

from triptych.classify.parameter_count import count_parameters
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        models = count_parameters()
        write_json(snakemake.output[0], {"models": models, "provenance": running.provenance(recipe=None)})
