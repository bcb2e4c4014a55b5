"""The same training images under each of the grid's augmentations."""

from pathlib import Path

from triptych.classify.augmentation_examples import augmentation_examples
from triptych.data.packed import load_packed
from triptych.workflow.files import write_arrays
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        dataset, params = load_packed(Path(snakemake.input.data[0]).parent), snakemake.params
        examples = augmentation_examples(dataset, base=params.base, augmentations=params.augmentations)
        write_arrays(snakemake.output[0], examples)
