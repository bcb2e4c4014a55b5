"""What every other file here uses: the checked config, names and helper functions.

Param `code` of a rule, `TrackedCode("script.py")`, is a digest of its script and of the library files that it
imports, so that an edit of them makes the rule's results stale (`triptych/workflow/tracked_code.py`).
"""

import os
import sys
import time
from pathlib import Path

import yaml

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
    simclr_recipe,
    subset_recipe,
)
from triptych.config.parts import choose_parts, unused_definitions
from triptych.config.sizes import sizes_of, training_mb
from triptych.config.validation import typed, validate_config
from triptych.workflow.errors import TriptychError, with_absolute_paths
from triptych.workflow.locks import release_stale_locks
from triptych.workflow.failures import failures, oom_kills
from triptych.workflow.group_jobs import form_groups_anew
from triptych.workflow.records import reconcile, remove_finished_checkpoints
from triptych.workflow.tracked_code import TrackedCode

try:
    import snakemake_logger_plugin_triptych as terminal
except ImportError:  # not installed: the terminal shows Snakemake's own messages
    terminal = None

STARTED, OOM_KILLS = time.time(), oom_kills()
form_groups_anew()  # of small jobs, on a cluster


def say(text):
    """Print the lines of a message, if this is the Snakemake that the user started."""
    if workflow.is_main_process:
        for line in with_absolute_paths(str(text)).splitlines():
            print(f"triptych: {line}", file=sys.stderr)


def refuse(problem):
    """End with the lines of a problem, without a traceback or Snakemake's words around them."""
    for line in with_absolute_paths(str(problem)).splitlines():
        print(f"triptych: {line}", file=sys.stderr)
    sys.exit(1)


try:
    # The command line's values; their texts may be numbers.
    given = {
        key: value for key, value in workflow.config_settings.config.items() if not isinstance(value, str)
    }
    update_config(config, typed(given))
    validate_config(config)
    check_modules(config)
    config["parts"], left_out = choose_parts(config)
    shipped = yaml.safe_load(Path(f"{workflow.basedir}/config.yaml").read_text(encoding="utf-8"))
    say("\n".join(filter(None, [left_out, *unused_definitions(config, shipped)])))
    if workflow.is_main_process:
        release_stale_locks()
    for path in reconcile() if workflow.is_main_process else []:
        say(f"{path} is not as its job wrote it; it is computed again")
except TriptychError as error:
    refuse(error)
except OSError as error:  # the results are on a disk that is full or cannot be written
    refuse(f"{error.filename or Path.cwd()}: {error.strerror}; check the disk and run again")

PARTS = config["parts"]
SEEDS = config["self_supervision"]["seeds"]
GRID_SEEDS = config["grid"]["seeds"]
ARCHITECTURES = config["grid"]["architectures"]
AUGMENTATIONS = config["grid"]["augmentations"]
RESULTS_FROM = config["results_from"] and os.path.relpath(config["results_from"])
CELLS = [
    cell
    for cell in grid_cells(config)
    if RESULTS_FROM is None or any(Path(RESULTS_FROM, "grid", cell).glob("seed*/metrics.json"))
]
SCENES = config["reconstruction"]["scenes"]
THREADS = config["compute"]["threads"]
GPU = config["compute"]["gpus"]
# Data sets with fewer images, on which the baselines are trained, too.
SUBSETS = list(config["grid"]["subsets"]) if "grid" in PARTS else []
DATASETS = sorted(
    {*SUBSETS, *(config[part]["dataset"] for part in ("self_supervision", "grid") if part in PARTS)}
)


# `<logs>` and `<benchmarks>` in the paths of all rules.
pathvars:
    logs="results/logs",
    benchmarks="results/benchmarks/jobs",


# Jobs of a group that is submitted to a cluster run one after the other: the profiles give every job a slot, and each
# group has one. Here, because submitted jobs do not get such limits of a profile.
resource_scopes:
    slot="local",


workflow.register_resource("slot", 1)


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


def growing(amount):
    """Memory or run time that is doubled, then tripled, when a cluster's profile submits a failed job again."""
    return lambda wildcards, attempt: amount * attempt


def of_training(recipe, runtime, views=1):
    """Resources of a training in `gpus` processes, in which each image has `views` views.

    The run time is the same in every attempt: trainings resume.
    """
    memory = training_mb(recipe, image_side(config, "self_supervision"), views)
    return {"mem_mb": growing(memory), "runtime": runtime, "gpu": GPU * recipe["gpus"]}


def plain(path):
    """The path of a rule's output below results/, also where outputs are local copies of a storage's objects."""
    return f"results/{str(path).partition('results/')[2]}"


def results_of(rule, **wildcards):
    """Every output of a rule, for all combinations of wildcards, but TensorBoard's files."""
    return expand([plain(path) for name, path in rule.output._allitems() if name != "events"], **wildcards)


def shown(paths):
    """The results that tables, figures and the page show: of this study, or those that `results_from` has."""
    if RESULTS_FROM is None:
        return paths
    return [path for path in map(moved, paths) if Path(path).exists()]


def moved(path):
    """Where a result is read from, given its path under `results/`."""
    return path if RESULTS_FROM is None else f"{RESULTS_FROM}/{path.removeprefix('results/')}"


def pack_files(dataset):
    """The files of a packed data set."""
    arrays = ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy")
    return [f"results/data/{dataset}/{name}" for name in (*arrays, "dataset.json", "digest.txt")]


def is_newer(path, other):
    """Whether a file is there and not older than another one."""
    files = [Path(path), Path(other)]
    return all(file.exists() for file in files) and files[0].stat().st_mtime_ns >= files[1].stat().st_mtime_ns


def packed(dataset, checked=True):
    """The files of a packed data set, as an input that is new only if `digest.txt` is.

    Packing is a checkpoint: after it, Snakemake looks again which jobs have new inputs. So are the checks, which
    must have passed since; their file is no input, as trainings would be stale when it is written anew. Settings
    that change later are checked by `recheck_sizes`.
    """

    def files(wildcards):
        wait_for_pack(dataset)
        *arrays, digest = pack_files(dataset)
        if checked and not is_newer(f"results/data/{dataset}/checked.json", digest):
            checkpoints.check_sizes.get(dataset=dataset)
        return [*map(ancient, arrays), digest]

    return files


def expect_times():
    """Weigh the bar on the terminal by the expected time of each job."""
    from triptych.workflow.plan import plan_jobs
    from triptych.workflow.rates import read_rates

    if terminal:
        jobs, _ = plan_jobs(workflow.dag, config, read_rates(None))
        terminal.expect((job.rule, job.wildcards, job.seconds) for job in jobs)


def print_errors():
    """Print the error line of each failed job again, after Snakemake's own output."""
    failed = [part for job in workflow.scheduler.failed for part in getattr(job, "jobs", [job])]
    logs = {Path(job.log[0]): job.rule.name for job in failed if job.log}
    if terminal:
        terminal.remove_bar()
    stopped = terminal is not None and terminal.was_interrupted()
    for line in failures(logs, since=STARTED, oom_kills_before=OOM_KILLS, stopped=stopped):
        print(with_absolute_paths(f"triptych: {line}"), file=sys.stderr)


def print_report(since=0.0):
    """Print what was found and where the page is, if it was written since a time; in a bucket, where it is."""
    page, text = (Path(f"results/report/{name}").absolute() for name in ("index.html", "summary.txt"))
    if terminal:
        terminal.remove_bar()
    if page.exists() and page.stat().st_mtime >= since:
        lines = text.read_text(encoding="utf-8").splitlines() if text.exists() else []
        for line in [*lines, f"the report is at {page.as_uri()}"]:
            print(f"triptych: {line}", file=sys.stderr)
    bucket = workflow.storage_settings.default_storage_prefix
    if bucket and any(job.rule.name == "write_report" for job in workflow.dag.jobs):
        print(f"triptych: the report is {bucket}/results/report/index.html", file=sys.stderr)


def end_without_jobs():
    """What `onsuccess` does, for a study that was finished before: the last run may have been killed there.

    The terminal does not call it in dry runs.
    """
    remove_finished_checkpoints()
    print_report()


if terminal:
    terminal.when_nothing_is_to_be_done(end_without_jobs)
