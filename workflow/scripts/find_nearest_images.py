"""Write features with the names of their images, and find nearest neighbours."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.nearest_images import find_nearest_images
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        find_nearest_images(
            experiment_of(snakemake, running),
            train_file=snakemake.input.train,
            test_file=snakemake.input.test,
            names_file=snakemake.input.names,
        )
