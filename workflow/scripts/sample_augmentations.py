"""The same training images under each of the grid's augmentations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.classify.augmentation_examples import augmentation_examples
from triptych.data.packed import load_packed
from triptych.workflow.files import write_arrays
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, data: str, base: dict[str, Any], augmentations: dict[str, dict[str, Any]], target: str) -> None:
    """`base` is the augmentation of all cells, `augmentations` has what each of the grid's adds."""
    write_arrays(target, augmentation_examples(load_packed(data), base=base, augmentations=augmentations))


if "snakemake" in globals():
    with job(snakemake):
        main(
            data=str(Path(snakemake.input.data[0]).parent),
            base=snakemake.params.base,
            augmentations=snakemake.params.augmentations,
            target=snakemake.output[0],
        )
