"""Let cached features vote on the test images."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.knn_evaluation import evaluate_knn
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        evaluate_knn(
            experiment_of(snakemake, running),
            train_file=snakemake.input.train,
            test_file=snakemake.input.test,
        )
