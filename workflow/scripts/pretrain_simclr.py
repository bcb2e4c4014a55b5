"""Pretrain one SimCLR encoder."""

from typing import TYPE_CHECKING

from triptych.classify.experiment import experiment_of
from triptych.classify.simclr import pretrain
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        pretrain(experiment_of(snakemake, running))
