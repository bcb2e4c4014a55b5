"""The same training images under each of the grid's augmentations."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.classify.augmentation_examples import augmentation_examples
from triptych.data.packed import load_packed
from triptych.workflow.files import write_arrays
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, data: str, shared: dict[str, Any], columns: dict[str, dict[str, Any]], target: str) -> None:
    """`shared` is every cell's augmentation, `columns` has what each column adds."""
    write_arrays(target, augmentation_examples(load_packed(data), shared=shared, columns=columns))


if "snakemake" in globals():
    with job(snakemake):
        main(
            data=str(Path(snakemake.input.data[0]).parent),
            shared=snakemake.params.shared,
            columns=snakemake.params.columns,
            target=snakemake.output[0],
        )
