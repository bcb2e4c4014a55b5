"""Attention rollouts of one architecture, trained with each of the grid's augmentations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.classify.attention_rollout import attention_maps
from triptych.data.packed import load_packed
from triptych.workflow.files import write_arrays
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, data: str, networks: dict[str, Any], weights: list[str], target: str) -> None:
    """`networks` has the network by augmentation, `weights` their files in the same order."""
    files = dict(zip(networks, weights, strict=True))
    maps = attention_maps(load_packed(data), networks=networks, weights=files)
    write_arrays(target, maps)


if "snakemake" in globals():
    with job(snakemake):
        main(
            data=str(Path(snakemake.input.data[0]).parent),
            networks=snakemake.params.networks,
            weights=snakemake.input.weights,
            target=snakemake.output[0],
        )
