"""Which cells of the grid are held against which, and what comes of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from triptych.report.estimates import estimate
from triptych.report.paired import LEVEL, Difference, holm, paired_difference
from triptych.report.results import Result

Cell = tuple[str, str]  # architecture, augmentation
Cells = Mapping[Cell, Sequence[Result]]

COLUMNS = [
    "metric",
    "against",
    "architecture",
    "augmentation",
    "minus_architecture",
    "minus_augmentation",
    "n",
    "mean",
    "low",
    "high",
    "p",
    "p_holm",
    "distinguishable",
]


@dataclass(frozen=True)
class Contrast:
    """Cell `ours` minus cell `theirs`; `p_holm` is corrected for all contrasts of its family."""

    ours: Cell
    theirs: Cell
    difference: Difference
    p_holm: float | None

    @property
    def distinguishable(self) -> bool | None:
        """Whether it is unlikely to be chance; None if that cannot be said.

        Runs that agree to the last image, seed by seed, cannot be told apart, though no test can say so.
        """
        if self.difference.n > 1 and self.difference.p is None and self.difference.mean == 0:
            return False
        return None if self.p_holm is None else self.p_holm < LEVEL


def _architectures(cells: Cells) -> list[str]:
    return list(dict.fromkeys(architecture for architecture, _ in cells))


def _augmentations(cells: Cells) -> list[str]:
    return list(dict.fromkeys(augmentation for _, augmentation in cells))


def _family(cells: Cells, metric: str, pairs: Sequence[tuple[Cell, Cell]]) -> list[Contrast]:
    differences = [paired_difference(cells[ours], cells[theirs], metric) for ours, theirs in pairs]
    adjusted = holm([difference.p for difference in differences])
    return [
        Contrast(*pair, difference, p)
        for pair, difference, p in zip(pairs, differences, adjusted, strict=True)
    ]


def baseline_of(augmentations: Iterable[str]) -> str:
    """What the others are held against: `baseline`, or the first where there is none of that name."""
    names = list(augmentations)
    return "baseline" if "baseline" in names else names[0]


def against_baseline(cells: Cells, metric: str, baseline: str) -> list[Contrast]:
    """Each other augmentation minus the baseline, within each architecture that was run with it."""
    pairs = [
        (cell, (cell[0], baseline)) for cell in cells if cell[1] != baseline and (cell[0], baseline) in cells
    ]
    return _family(cells, metric, pairs)


def alone_in_row(cells: Cells) -> list[Cell]:
    """Cells of architectures that were run with one augmentation only."""
    rows = [cell[0] for cell in cells]
    return [cell for cell in cells if rows.count(cell[0]) == 1]


def best_in_validation(cells: Cells, metric: str) -> dict[str, Cell]:
    """By architecture, the cell with the least validation error; `metric` is that of the test images.

    Chosen where every choice is made: the least test error would be least by luck, too. A single
    augmentation is best of nothing.
    """
    alone = alone_in_row(cells)
    means = {
        cell: estimate(results, metric.replace("test_", "validation_")).mean
        for cell, results in cells.items()
        if cell not in alone
    }
    best: dict[str, Cell] = {}
    for cell in sorted(means, key=lambda cell: means[cell]):
        best.setdefault(cell[0], cell)
    return best


def against_best(cells: Cells, metric: str) -> list[Contrast]:
    """Each other augmentation minus the best in validation, within each architecture."""
    best = best_in_validation(cells, metric)
    pairs = [(cell, best[cell[0]]) for cell in cells if cell[0] in best and cell != best[cell[0]]]
    return _family(cells, metric, pairs)


def between_architectures(cells: Cells, metric: str) -> list[Contrast]:
    """Each architecture minus each one before it, within each augmentation."""
    pairs = [
        ((ours, augmentation), (theirs, augmentation))
        for theirs, ours in combinations(_architectures(cells), 2)
        for augmentation in _augmentations(cells)
        if (ours, augmentation) in cells and (theirs, augmentation) in cells
    ]
    return _family(cells, metric, pairs)


def _families(cells: Cells, metric: str, baseline: str) -> dict[str, list[Contrast]]:
    return {
        "baseline": against_baseline(cells, metric, baseline),
        "best_in_validation": against_best(cells, metric),
        "architecture": between_architectures(cells, metric),
    }


def contrast_rows(cells: Cells, metrics: Sequence[str], baseline: str) -> pd.DataFrame:
    """Long form: one row a contrast of `metrics` (percentage points), by family."""
    rows = [
        (
            metric,
            family,
            *contrast.ours,
            *contrast.theirs,
            contrast.difference.n,
            contrast.difference.mean,
            contrast.difference.low,
            contrast.difference.high,
            contrast.difference.p,
            contrast.p_holm,
            contrast.distinguishable,
        )
        for metric in metrics
        for family, contrasts in _families(cells, metric, baseline).items()
        for contrast in contrasts
    ]
    return pd.DataFrame(rows, columns=COLUMNS)
