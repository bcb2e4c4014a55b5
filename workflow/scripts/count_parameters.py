"""Count the parameters of the report's models."""

from triptych.classify.parameter_count import count_parameters
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        models = count_parameters()
        write_json(snakemake.output[0], {"models": models, "provenance": running.provenance(recipe=None)})
