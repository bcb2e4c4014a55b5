"""Lay out the features of test images in two dimensions."""

from typing import TYPE_CHECKING

from triptych.classify.experiment import experiment_of
from triptych.classify.feature_map import map_features
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        map_features(experiment_of(snakemake, running), test_file=snakemake.input.test)
