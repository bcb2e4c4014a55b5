"""Where the files of each data set come from, and their recipes."""

import re

from triptych.data.sources import (
    OFFICIAL,
    archive_files,
    check_dataset,
    dataset_recipe,
    download_of,
    downloads,
)
from triptych.workflow.folder_fingerprint import folder_fingerprint

PACKED = {Path(file).stem: file for file in packed("{dataset}")}
DATA_TARGETS = [file for dataset in DATASETS for file in packed(dataset)]

DOWNLOADS = downloads(config["datasets"])


def check_datasets():
    """Stop before planning if a data set cannot be made."""
    for dataset in DATASETS:
        try:
            check_dataset(dataset, config["datasets"][dataset])
        except TriptychError as error:
            raise WorkflowError(str(error)) from None


check_datasets()


def from_source(*sources):
    """A pattern for the data sets that come from one of these sources."""
    names = [name for name, settings in config["datasets"].items() if settings["source"] in sources]
    return "|".join(names) or "(?!)"


def recipe_of(wildcards):
    """The settings that the arrays of a data set depend on."""
    return dataset_recipe(config["datasets"][wildcards.dataset])


def archive_of(wildcards):
    """The download, or the files at the path."""
    settings = config["datasets"][wildcards.dataset]
    if settings["source"] in OFFICIAL:
        return [f"results/downloads/{download_of(settings).file}"]
    return archive_files(settings)
