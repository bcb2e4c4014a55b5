"""Where the files of each data set come from, and their recipes."""

from importlib.util import find_spec

from triptych.data.folder_listing import list_folder
from triptych.data.image_sizes import fitting_size, median_side
from triptych.data.sources import (
    OFFICIAL,
    archive_files,
    check_dataset,
    dataset_recipe,
    download_of,
    downloads,
)
from triptych.workflow.files import read_json

PACKED = {Path(file).stem: file for file in pack_files("{dataset}")}
DATA_TARGETS = [
    *(file for dataset in DATASETS for file in pack_files(dataset)),
    *map("results/data/{}/checked.json".format, DATASETS),
    *(
        f"results/data/{dataset}/files.csv"
        for dataset in DATASETS
        if config["datasets"][dataset]["source"] == "folder"
    ),
]

DOWNLOADS = downloads(config["datasets"])


def description_of(dataset):
    """`dataset.json` of a data set whose source is gone, but which has been packed; else None."""
    settings, file = config["datasets"][dataset], Path(moved(pack_files(dataset)[-2]))
    path = settings.get("path")
    if path is None or Path(path).exists() or not file.exists():
        return None
    try:
        found = read_json(file)
        is_folder = "contents" in found["source"]
    except (ValueError, KeyError, TypeError):  # damaged, as `reconcile` has told
        return None
    return found if is_folder == (settings["source"] == "folder") else None


WITHOUT_SOURCE = {dataset: found for dataset in DATASETS if (found := description_of(dataset))}
LISTINGS = {}


def check_datasets():
    """Stop before planning if data sets cannot be made; list the images of folders."""
    problems = []
    for dataset in DATASETS:
        try:
            find_images(dataset, config["datasets"][dataset])
        except TriptychError as error:
            place = f"config: datasets.{dataset}: "
            problems.append(place + str(error).removeprefix(place))
    if problems:
        refuse("\n".join(problems))


def find_images(dataset, settings):
    """Check the source of a data set, and list the images if it is a folder."""
    if dataset in WITHOUT_SOURCE:
        packed_from = WITHOUT_SOURCE[dataset]["source"].get("path")
        if packed_from and os.path.abspath(packed_from) != os.path.abspath(settings["path"]):
            raise TriptychError(
                f"{settings['path']} does not exist; the packed images are from {packed_from}: correct `path`, or "
                "give that one to go on with them"
            )
        say(f"datasets.{dataset}: {settings['path']} is gone; the packed images are used")
        if settings.get("image_size") == "auto":
            settings["image_size"] = WITHOUT_SOURCE[dataset]["image_size"][0]
        return
    check_dataset(dataset, settings)
    if settings["source"] == "folder":
        LISTINGS[dataset] = list_folder(settings["path"], settings["labels"])
        if LISTINGS[dataset].note:
            say(
                f"datasets.{dataset}: the images in {settings['path']} have no labels, as {LISTINGS[dataset].note}; "
                "what needs labels is left out"
            )
        if settings["image_size"] == "auto":
            choose_size(dataset, settings)


def choose_size(dataset, settings):
    """Replace `image_size: auto` by a number, on which other recipes depend, too."""
    settings["image_size"] = fitting_size(median_side(LISTINGS[dataset].train_files()))
    say(
        f"datasets.{dataset}: image_size is {settings['image_size']} pixels, chosen by the size of the images"
    )


check_datasets()


def has_labels(dataset):
    """Whether the images of a data set have labels."""
    if dataset in WITHOUT_SOURCE:
        return bool(WITHOUT_SOURCE[dataset]["classes"])
    return dataset not in LISTINGS or bool(LISTINGS[dataset].classes)


def leave_out_grid():
    """Leave out part 2 if its images have no labels."""
    if "grid" not in PARTS or has_labels(config["grid"]["dataset"]):
        return
    dataset = config["grid"]["dataset"]
    if PARTS == ["grid"]:
        refuse(
            f"config: grid.dataset is {dataset}, whose images have no labels; give them in "
            f"datasets.{dataset}.labels, or run the part self_supervision"
        )
    PARTS.remove("grid")
    say(f"the images of {dataset} have no labels: part grid is left out")


leave_out_grid()


def recheck_sizes():
    """Stop before any job starts if settings were changed after the checks and do not fit the packed images."""
    if RESULTS_FROM or not find_spec("torch"):  # no training, or jobs have an environment of their own
        return
    from triptych.checks.study import problems_since_checked

    to_run = {plain(file) for job in workflow.dag.needrun_jobs() for file in job.output}
    problems = []
    for dataset in DATASETS:
        folder = Path("results/data", dataset)
        if str(folder / "digest.txt") not in to_run:  # else the checks follow when it is packed
            problems += problems_since_checked(folder, sizes_of(config, dataset), memory=workflow.local_exec)
    if problems:
        refuse("\n".join(problems))


def is_own(dataset):
    """Whether a data set is the user's own, by its source, and not one that figures are published for."""
    return config["datasets"][dataset]["source"] == "folder" and dataset not in ("cifar10", "cifar100")


def has_top5(dataset):
    """Whether a data set has more than five classes, as all have that are not folders."""
    if dataset in WITHOUT_SOURCE:
        return len(WITHOUT_SOURCE[dataset]["classes"]) > 5
    return dataset not in LISTINGS or len(LISTINGS[dataset].classes) > 5


def wait_for_pack(dataset):
    """Let Snakemake wait until a data set is packed before it decides what comes after."""
    settings = config["datasets"][dataset]
    if dataset in WITHOUT_SOURCE and settings["source"] == "archive":
        return  # nothing can pack it again
    name = {"folder": "pack_folder", "shapes": "draw_shapes"}.get(settings["source"], "pack_cifar")
    getattr(checkpoints, name).get(dataset=dataset)


def from_source(*sources):
    """A pattern for the data sets that come from one of these sources."""
    names = [name for name, settings in config["datasets"].items() if settings["source"] in sources]
    return "|".join(names) or "(?!)"


def recipe_of(wildcards):
    """The settings that the arrays of a data set depend on."""
    return dataset_recipe(config["datasets"][wildcards.dataset])


def contents_of(wildcards):
    """A digest of all images of a folder; once the folder is gone, of those that have been packed."""
    dataset = wildcards.dataset
    if dataset in WITHOUT_SOURCE:
        return WITHOUT_SOURCE[dataset]["source"]["contents"]
    return LISTINGS[dataset].contents()


def archive_of(wildcards):
    """The download, or the files at the path."""
    settings = config["datasets"][wildcards.dataset]
    if settings["source"] in OFFICIAL:
        return [f"results/downloads/{download_of(settings).file}"]
    return [local(file) for file in archive_files(settings)]
