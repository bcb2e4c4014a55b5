"""Results by class, and what chance alone would reach: for data whose classes differ in size."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from triptych.report.published import DATASET_TITLES
from triptych.report.results import WARNED, Result
from triptych.report.statistics import Estimate, estimate_of, spread_note
from triptych.report.tables import Table

Dataset = Mapping[str, Any]
CHANCE = "Chance level"
EQUAL = f"{CHANCE}: one class is always the answer."
SHOWN = 30  # classes in a table for readers
COARSE = 0.1  # percentage points; a test image that counts less is not mentioned


def has_top5(dataset: Dataset) -> bool:
    """Whether top-5 results say anything: with five classes or fewer, five guesses are always right."""
    return len(dataset["classes"]) > 5


def chance_level(dataset: Dataset, metric: str) -> float | None:
    """What a metric (percent) is if the most frequent classes of the training images are always the answer.

    Args:
        dataset: values of `dataset.json`.
        metric: such as `test_top1_error`, `test_top5_accuracy` or `test_balanced_accuracy`.

    Returns:
        The value, or None if the images of each class were not counted.
    """
    counts = dataset.get("class_counts")
    if not counts and dataset.get("name") in DATASET_TITLES:  # classes of equal size
        counts = {part: [1] * len(dataset["classes"]) for part in ("train", "test")}
    if not counts:
        return None
    if metric == "test_balanced_accuracy":
        return 100 / sum(count > 0 for count in counts["test"])
    classes = sorted(range(len(counts["train"])), key=lambda index: -counts["train"][index])
    answered = classes[: 5 if "top5" in metric else 1]
    accuracy = 100 * sum(counts["test"][index] for index in answered) / sum(counts["test"])
    return 100 - accuracy if metric.endswith("error") else accuracy


def chance_text(dataset: Dataset, metric: str) -> str | None:
    """Two decimals, or None."""
    level = chance_level(dataset, metric)
    return None if level is None else f"{level:.2f}"


def chance_words(dataset: Dataset, metric: str) -> str:
    """For a headline: `; chance level 25.0 %`, or nothing if it is not known."""
    level = chance_level(dataset, metric)
    return "" if level is None else f"; chance level {level:.1f} %"


def resolution(dataset: Dataset, metric: str) -> float:
    """Percentage points by which one test image changes a metric, at most; 0 if images were not counted."""
    if not dataset.get("class_counts"):
        return 0.0
    counts = [count for count in dataset["class_counts"]["test"] if count]
    return 100 / (len(counts) * min(counts) if metric == "test_balanced_accuracy" else sum(counts))


def resolution_words(dataset: Dataset, metric: str) -> str:
    """For a headline: `; one test image is up to 16.7 points`, or nothing if it is little."""
    points = resolution(dataset, metric)
    return f"; one test image is up to {points:.1f} points" if points >= COARSE else ""


def resolution_note(dataset: Dataset, metric: str) -> str:
    """How coarse a metric is, as it is measured on few test images; empty if it is not."""
    points = resolution(dataset, metric)
    if points < COARSE:
        return ""
    counts, title = dataset["class_counts"]["test"], "Top-1"
    images = f"{sum(counts):,} test images"
    if metric == "test_balanced_accuracy":
        rarest = min((count, index) for index, count in enumerate(counts) if count)
        title, images = "Balanced accuracy", f"{rarest[0]:,} test images of “{dataset['classes'][rarest[1]]}”"
    one = (
        f"the only {images[2:].replace('images', 'image')}" if images.startswith("1 ") else f"one of {images}"
    )
    return f"{title}: {one} is {points:.1f} percentage points."


def chance_note(dataset: Dataset) -> str:
    """What the level of chance in a table is; empty if it is not known."""
    counts = dataset.get("class_counts")
    if not counts:
        return "" if chance_level(dataset, "test_top1_error") is None else EQUAL
    most = max(range(len(counts["train"])), key=lambda index: counts["train"][index])
    if len(set(counts["train"])) == 1:
        return EQUAL
    return (
        f"{CHANCE}: the most frequent class of the training images, {dataset['classes'][most]}, is always "
        "the answer."
    )


def class_estimates(runs: Mapping[str, Sequence[Result]], dataset: Dataset) -> list[list[Estimate | None]]:
    """Accuracy of each class (rows) by run (columns), over the seeds; None without test images of a class."""
    return [
        [
            None
            if any(result.values["test_class_accuracies"][index] is None for result in results)
            else estimate_of(
                [result.values["test_class_accuracies"][index] for result in results],
                source=results[0].source,
            )
            for results in runs.values()
        ]
        for index in range(len(dataset["classes"]))
    ]


def class_rows(runs: Mapping[str, Sequence[Result]], dataset: Dataset) -> pd.DataFrame:
    """Long form: one row per class and run; the accuracy of a class without test images is empty."""
    counts = dataset["class_counts"]
    return pd.DataFrame(
        [
            {
                "class": name,
                "train_images": counts["train"][index],
                "test_images": counts["test"][index],
                "run": run,
                "n": 0 if value is None else value.n,
                "mean": None if value is None else value.mean,
                "std": None if value is None else value.std,
            }
            for index, (name, values) in enumerate(
                zip(dataset["classes"], class_estimates(runs, dataset), strict=True)
            )
            for run, value in zip(runs, values, strict=True)
        ]
    )


def class_table(runs: Mapping[str, Sequence[Result]], dataset: Dataset, *, all_classes: bool) -> Table:
    """One row per class, one column per run; the first row is the mean over the classes.

    Args:
        runs: results of all seeds by the run's title.
        dataset: values of `dataset.json`.
        all_classes: otherwise of more than 30 classes only those that are recognised worst.
    """
    counts, found = dataset["class_counts"], class_estimates(runs, dataset)
    indices = list(range(len(found)))
    left_out = ""
    if not all_classes and len(indices) > SHOWN:
        known = [index for index in indices if counts["test"][index]]
        means = {index: sum(value.mean for value in found[index] if value) for index in known}
        indices = sorted(sorted(known, key=lambda index: means[index])[:SHOWN])
        left_out = (
            f"{SHOWN} of {len(found)} classes are shown, those that are recognised worst; the table under "
            "results/tables/ has all."
        )
    balanced = [
        estimate_of([result.number("test_balanced_accuracy") for result in results], source=results[0].source)
        for results in runs.values()
    ]
    level = chance_text(dataset, "test_balanced_accuracy")
    return Table(
        caption="Accuracy by class (%), test images (↑)",
        header=("Class", "Training images", "Test images", *runs),
        rows=[
            ("Balanced accuracy", None, None, *balanced),
            *[
                (dataset["classes"][index], counts["train"][index], counts["test"][index], *found[index])
                for index in indices
            ],
            (CHANCE, None, None, *[level] * len(runs)),
        ],
        notes=(
            spread_note(balanced),
            f"{CHANCE}: guessing at random, or always the same class, gives this balanced accuracy.",
            resolution_note(dataset, "test_balanced_accuracy"),
            left_out,
        ),
    )


def one_class_mark(results: Sequence[Result], dataset: Dataset) -> str:
    """Marks the numbers of runs that `one_class_warnings` names."""
    return WARNED if one_class_warnings({"": results}, dataset) else ""


def one_class_warnings(runs: Mapping[str, Sequence[Result]], dataset: Dataset) -> list[str]:
    """A line for each class that some run alone recognises, although several classes have test images."""
    found: dict[str, list[str]] = {}
    for run, results in runs.items():
        for result in results:
            shares = enumerate(result.values.get("test_class_accuracies", []))
            known = {index: share for index, share in shares if share is not None}
            right = [index for index, share in known.items() if share > 0]
            if len(known) > 1 and len(right) == 1:
                line = f"Of {len(known)} classes, only “{dataset['classes'][right[0]]}” is ever recognised by"
                found.setdefault(line, []).append(f"{run}, seed {result.seed}")
    return [f"{line}: {'; '.join(names)}." for line, names in found.items()]
