"""What every other file here uses: the checked config, names and helper functions.

Param `code` of a rule, `TrackedCode("script.py")`, is a digest of its script and of the library files that it
imports, so that an edit of them makes the rule's results stale (`triptych/workflow/tracked_code.py`).
"""

import os
import sys
import time
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))
# The library reaches every job on every executor without an install step: children inherit this,
# and Snakemake processes on other machines parse this file, too.
if str(SOURCE) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ.update(PYTHONPATH=os.pathsep.join(paths))
# Idle threads sleep instead of spinning: where jobs share cores, spinning starves the others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# In a profile its path would be relative, and not be found with --directory.
os.environ.setdefault("SNAKEMAKE_SLURM_PARTITIONS", f"{workflow.basedir}/profiles/slurm/partitions.yaml")

from triptych.config.cells import (
    augmentation_recipe,
    cell_name,
    cell_recipe,
    check_modules,
    encoder_architecture,
    grid_cells,
    image_side,
    modules_of,
)
from triptych.config.parts import choose_parts
from triptych.config.sizes import sizes_of, training_mb
from triptych.config.validation import typed, validate_config
from triptych.workflow.errors import TriptychError, with_absolute_paths
from triptych.workflow.failures import failures, oom_kills
from triptych.workflow.records import reconcile, remove_finished_checkpoints
from triptych.workflow.tracked_code import TrackedCode

STARTED, OOM_KILLS = time.time(), oom_kills()

try:
    # The command line's values; their texts may be numbers.
    given = {
        key: value for key, value in workflow.config_settings.config.items() if not isinstance(value, str)
    }
    update_config(config, typed(given))
    validate_config(config)
    check_modules(config)
    config["parts"], left_out = choose_parts(config)
    if left_out and workflow.is_main_process:
        print(f"triptych: {left_out}", file=sys.stderr)
    for path in reconcile() if workflow.is_main_process else []:
        text = f"triptych: {path} is not as its job wrote it; it is computed again"
        print(with_absolute_paths(text), file=sys.stderr)
except TriptychError as error:
    raise WorkflowError(with_absolute_paths(str(error))) from None

PARTS = config["parts"]
SEEDS = config["self_supervision"]["seeds"]
GRID_SEEDS = config["grid"]["seeds"]
ARCHITECTURES = config["grid"]["architectures"]
AUGMENTATIONS = config["grid"]["augmentations"]
CELLS = grid_cells(config)
SCENES = config["reconstruction"]["scenes"]
THREADS = config["compute"]["threads"]
GPU = config["compute"]["gpus"]
DATASETS = sorted({config[part]["dataset"] for part in ("self_supervision", "grid") if part in PARTS})


# `<logs>` and `<benchmarks>` in the paths of all rules.
pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks/jobs",


wildcard_constraints:
    architecture="|".join(config["architectures"]),
    augmentation="|".join(config["augmentations"]),
    dataset="|".join(config["datasets"]),
    scene="|".join(config["scenes"]),
    encoder="simclr|random",
    percent=r"\d+(\.\d+)?",
    seed=r"\d+",


def scene_recipe(scene, section):
    """One section of `reconstruction`, with what the scene overrides."""
    return {**config["reconstruction"][section], **config["scenes"][scene].get(section, {})}


def only(recipe, *keys):
    """These entries of a recipe."""
    return {key: recipe[key] for key in keys}


def without(recipe, *keys):
    """A recipe without these entries."""
    return {key: value for key, value in recipe.items() if key not in keys}


def of_training(recipe, runtime, views=1, part="self_supervision"):
    """Resources of a training in `gpus` processes, in which each image has `views` views."""
    memory = training_mb(recipe, image_side(config, part), views)
    return {"mem_mb": memory, "runtime": runtime, "gpu": GPU * recipe["gpus"]}


def results_of(rule, **wildcards):
    """Every output of a rule, for all combinations of wildcards, but TensorBoard's files."""
    return expand([str(path) for name, path in rule.output._allitems() if name != "events"], **wildcards)


def pack_files(dataset):
    """The files of a packed data set."""
    arrays = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy")
    return [f"results/data/{dataset}/{name}" for name in (*arrays, "dataset.json", "digest.txt")]


def packed(dataset):
    """The files of a packed data set, as an input that is new only if `digest.txt` is.

    Packing is a checkpoint: after it, Snakemake looks again which jobs have new inputs.
    """

    def files(wildcards):
        wait_for_pack(dataset)
        *arrays, digest = pack_files(dataset)
        return [*map(ancient, arrays), digest]

    return files


def print_errors():
    """Print the error line of each failed job again, after Snakemake's own output."""
    for line in failures(Path("results/logs"), since=STARTED, oom_kills_before=OOM_KILLS):
        print(with_absolute_paths(f"triptych: {line}"), file=sys.stderr)


def print_report():
    """Print where the page is, if this run wrote it."""
    page = Path("results/report/index.html").absolute()
    if page.exists() and page.stat().st_mtime >= STARTED:
        print(f"triptych: the report is at {page.as_uri()}", file=sys.stderr)
