"""What the results say, in sentences: an answer to each part's question, and the report's conclusions tested.

Intervals are 95 % confidence intervals by Student's t over the seeds, from `MIN_SEEDS` seeds on.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from scipy.stats import t

from triptych.report.part2_contrasts import Contrast, tested_pairs
from triptych.report.part2_grid import METRICS, NOT_RUN, Cell, Grid
from triptych.report.published import published_runs, published_value
from triptych.report.results import Result
from triptych.report.sections import Answer
from triptych.report.statistics import MIN_SEEDS, SIGNIFICANCE_LEVEL, count_range, estimate

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"
FAR = 10.0  # percentage points; the report's own differences are 19 to 26
TOP1 = "test_top1_error"
ROWS = {"resnet18": "ResNet18", "vit": "ViT"}
COLUMNS = {"baseline": "baseline", "mixup": "mixup", "cutout": "Cutout", "cutmix": "CutMix"}


def mean_text(values: Sequence[float], unit: str = " %", of: str = "seeds") -> str:
    """A mean with its interval: `25.2 % [24.9, 25.5] (3 seeds)`, `25.2 % (1 seed, no interval)`."""
    n, mean = len(values), statistics.fmean(values)
    if n < MIN_SEEDS:
        return f"{mean:.2f}{unit} ({n} {of if n > 1 else of.removesuffix('s')}, no interval)"
    half = float(t.ppf(1 - SIGNIFICANCE_LEVEL / 2, n - 1)) * statistics.stdev(values) / math.sqrt(n)
    return f"{mean:.2f}{unit} [{mean - half:.2f}, {mean + half:.2f}] ({n} {of})"


def self_supervision_answer(methods: Mapping[str, Sequence[Result]]) -> Answer:
    """Part 1, from the results of all seeds by method."""
    metric, sentences = "test_top1_accuracy", []
    for method, title in (
        ("simclr_linear_probe", "SimCLR with a linear probe"),
        ("supervised_resnet18", "Supervised training of the same network"),
    ):
        published, results = published_value("self_supervision", method, metric), methods.get(method, [])
        if not results or published is None:
            sentences.append(f"{title}: {NOT_RUN}.")
            continue
        values = [result.number(metric) for result in results]
        comparison = "higher than" if statistics.fmean(values) > published else "not higher than"
        sentences.append(
            f"{title} reaches {mean_text(values)} top-1 accuracy, "
            f"{comparison} the published {published:.2f} %."
        )
    return Answer(
        "How far do features that are learnt without labels reach on CIFAR-10?", " ".join(sentences)
    )


def grid_answer(grid: Grid | None) -> Answer:
    """Part 2: the best augmentation of each architecture, and the count against the published errors."""
    sentences = []
    best = grid.best_in_validation() if grid else {}
    for row, title in ROWS.items():
        cells = [cell for cell in grid.cells if cell[0] == row] if grid else []
        if not grid or not cells:
            sentences.append(f"{title}: {NOT_RUN}.")
            continue
        cell = best.get(row, cells[0])
        error = mean_text([result.number(TOP1) for result in grid.cells[cell]])
        if len(cells) == 1:
            sentences.append(f"{title}: only {COLUMNS[cell[1]]} was run, with a top-1 error of {error}.")
            continue
        sentences.append(
            f"{title}: of the {len(cells)} augmentations run, {COLUMNS[cell[1]]} is best on validation "
            f"images; its top-1 error on test images is {error}."
        )
    sentences.append(published_sentence(grid))
    question = "Which augmentation and which architecture have the lower error on CIFAR-100?"
    return Answer(question, " ".join(sentences))


def published_sentence(grid: Grid | None) -> str:
    """How many published errors are higher than ours; those that are not are named."""
    lower, not_lower, missing = 0, [], 0
    for run in published_runs("grid"):
        row, column = run.split("-")
        for metric, title in METRICS.items():
            published = published_value("grid", run, metric)
            results = grid.cells.get((row, column), []) if grid else []
            if published is None:
                continue
            if not results:
                missing += 1
            elif estimate(results, metric).mean < published:
                lower += 1
            else:
                not_lower.append(f"{ROWS[row]} with {COLUMNS[column]}, {title.lower()}")
    total = lower + len(not_lower) + missing
    text = (
        f"Of the {total} published errors, {lower} are higher than ours; {missing} belong to cells not run."
    )
    return f"{text} Not lower than published: {'; '.join(not_lower)}." if not_lower else text


def conclusions(grid: Grid | None) -> list[Answer]:
    """The report's three conclusions, tested with this study's results on the published data set."""
    columns = [column for column in COLUMNS if column != "cutmix"]
    return [
        _tested(
            grid,
            "CutMix is the best augmentation.",
            [((row, column), (row, "cutmix")) for row in ROWS for column in columns],
            "minus CutMix",
        ),
        _tested(
            grid,
            "Cutout hurts.",
            [((row, "cutout"), (row, "baseline")) for row in ROWS],
            "minus the baseline",
        ),
        _far_below(grid),
    ]


def _tested(grid: Grid | None, claim: str, pairs: Sequence[tuple[Cell, Cell]], against: str) -> Answer:
    """Confirmed if all errors are significantly above their references, refuted if one is below."""
    found = _contrasts(grid, pairs)
    signs = [contrast.difference.mean > 0 for contrast in found if contrast.distinguishable]
    if not found:
        return Answer(claim, "The cells that it compares have not been run.", NOT_RUN)
    verdict = _undecided(found)
    if not all(signs):
        verdict = REFUTED
    elif len(signs) == len(pairs):
        verdict = CONFIRMED
    differences = "; ".join(
        f"{ROWS[contrast.cell[0]]}, {COLUMNS[contrast.cell[1]]} {against}: {contrast.difference} points"
        for contrast in found
    )
    return Answer(claim, f"Top-1 errors: {differences}.{_missing(found, pairs)}", verdict)


def _far_below(grid: Grid | None) -> Answer:
    """Every difference must lie above `FAR` as a whole, so its intervals need no correction."""
    claim = f"The ViT is far below ResNet18 at equal parameters (here: by {FAR:g} points or more)."
    pairs = [(("vit", column), ("resnet18", column)) for column in COLUMNS]
    found = _contrasts(grid, pairs)
    if grid is None or not found:
        return Answer(claim, "No augmentation has been run with both architectures.", NOT_RUN)
    lows, highs = ([getattr(contrast.difference, end) for contrast in found] for end in ("low", "high"))
    verdict = _undecided(found)
    if any(high is not None and high < FAR for high in highs):
        verdict = REFUTED
    elif len(lows) == len(pairs) and all(low is not None and low > FAR for low in lows):
        verdict = CONFIRMED
    counts = [grid.cells[cell][0].number("parameters") / 1e6 for cell in (found[0].cell, found[0].reference)]
    differences = "; ".join(f"{COLUMNS[item.cell[1]]} {item.difference} points" for item in found)
    return Answer(
        claim,
        f"Top-1 error of the ViT ({counts[0]:.1f} million parameters) minus that of ResNet18 "
        f"({counts[1]:.1f} million): {differences}.{_missing(found, pairs)}",
        verdict,
    )


def _contrasts(grid: Grid | None, pairs: Sequence[tuple[Cell, Cell]]) -> list[Contrast]:
    if grid is None:
        return []
    seeds = {cell: {result.seed for result in results} for cell, results in grid.cells.items()}
    run = [pair for pair in pairs if set(pair) <= set(seeds) and seeds[pair[0]] & seeds[pair[1]]]
    return tested_pairs(grid, TOP1, run)


def _undecided(found: Sequence[Contrast]) -> str:
    seeds = count_range(contrast.difference.n for contrast in found)
    return f"{UNDECIDED} at this number of seeds ({seeds})"


def _missing(found: Sequence[Contrast], pairs: Sequence[tuple[Cell, Cell]]) -> str:
    missing = len(pairs) - len(found)
    return f" {missing} of {len(pairs)} comparisons: {NOT_RUN}." if missing else ""


def reconstruction_answer(scenes: Mapping[str, Result]) -> Answer:
    """Part 3, from `views.json` by scene; the interval is over the held-out views."""
    sentences = []
    for name, result in scenes.items():
        psnrs = [float(view["psnr"]) for view in result.values["views"]]
        sentences.append(f"“{name}”: a mean PSNR of {mean_text(psnrs, ' dB', 'views')}.")
    text = " ".join(sentences) or f"{NOT_RUN.capitalize()}."
    return Answer("How well are views rendered that the reconstruction has not seen?", text)
