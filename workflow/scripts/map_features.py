"""Lay out the features of images in two dimensions."""

from typing import TYPE_CHECKING

from triptych.experiments.experiment import experiment_of
from triptych.ssl.feature_map import map_features
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        map_features(experiment_of(snakemake, running), features_file=snakemake.input.features)
