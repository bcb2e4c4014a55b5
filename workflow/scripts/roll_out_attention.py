"""Attention rollouts of one architecture, trained with each of the grid's augmentations."""

from pathlib import Path

from triptych.classify.attention_rollout import attention_maps
from triptych.data.packed import load_packed
from triptych.workflow.files import write_arrays
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        dataset, networks = load_packed(Path(snakemake.input.data[0]).parent), snakemake.params.networks
        weights = dict(zip(networks, snakemake.input.weights, strict=True))  # by augmentation, as networks
        write_arrays(snakemake.output[0], attention_maps(dataset, networks=networks, weights=weights))
