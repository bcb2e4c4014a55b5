"""Lay out the features of images in two dimensions."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.feature_map import map_features
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        map_features(experiment_of(snakemake, running), features_file=snakemake.input.features)
