"""Part 2's results: the cells of architecture x augmentation, and the best augmentation of each row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from triptych.report.class_results import has_top5, one_class_mark
from triptych.report.comparison import Comparison, compare, grid_differences, own_data
from triptych.report.published import CELL_TITLES, is_own, published_value
from triptych.report.results import Result, read_history, read_result, read_results
from triptych.report.statistics import Estimate, estimate

Cell = tuple[str, str]  # architecture, augmentation
METRICS = {"test_top1_error": "Top-1 error", "test_top5_error": "Top-5 error"}
NOT_RUN = "not run"


@dataclass(frozen=True)
class Grid:
    """Results of part 2.

    Attributes:
        cells: results of all seeds by cell; those that were not run are missing.
        architectures: titles of the rows by name, in order.
        augmentations: titles of the columns by name, in order.
        dataset: `dataset.json`.
    """

    cells: Mapping[Cell, Sequence[Result]]
    architectures: Mapping[str, str]
    augmentations: Mapping[str, str]
    dataset: Result

    @property
    def every_cell(self) -> list[Cell]:
        """All cells, whether or not they were run, row by row."""
        return list(product(self.architectures, self.augmentations))

    @property
    def single_cells(self) -> list[Cell]:
        """Cells of architectures that were run with one augmentation only."""
        rows = [architecture for architecture, _ in self.cells]
        return [cell for cell in self.cells if rows.count(cell[0]) == 1]

    @property
    def baseline(self) -> str:
        """The augmentation `baseline`, or the first where there is none of that name."""
        return "baseline" if "baseline" in self.augmentations else next(iter(self.augmentations))

    @property
    def seeds(self) -> int:
        """Seeds of the cell with the most of them."""
        return max(map(len, self.cells.values()))

    @cached_property
    def comparison(self) -> Comparison:
        """Data set, networks, epochs and recipes beside the published ones."""
        if is_own(self.dataset.values):
            return own_data(self.dataset.values)
        first = {cell: results[0] for cell, results in self.cells.items()}
        recipes: dict[tuple[str, ...], Any] = {
            cell: result.provenance["recipe"] for cell, result in first.items()
        }
        return compare(
            "grid",
            self.dataset.values,
            epochs={"-".join(cell): int(result.number("epochs")) for cell, result in first.items()},
            models={cell: recipe["architecture"]["options"] for cell, recipe in recipes.items()},
            others=grid_differences(recipes),
        )

    @property
    def published_cells(self) -> list[Cell]:
        """Those that were run and that the report has, too."""
        return [cell for cell in self.cells if self.published(cell, "test_top1_error") is not None]

    @property
    def repeats_published(self) -> bool:
        """Whether some of them were run on the report's data set."""
        return self.comparison.same_dataset and bool(self.published_cells)

    @property
    def metrics(self) -> dict[str, str]:
        """Titles of the errors that say something about this data set."""
        return {name: title for name, title in METRICS.items() if "top5" not in name or self.has_top5}

    @property
    def has_top5(self) -> bool:
        """Whether there are more than five classes."""
        return has_top5(self.dataset.values)

    def title(self, cell: Cell) -> str:
        """`ViT, CutMix`; cells that only the report has go by its names."""
        rows, columns = CELL_TITLES | dict(self.architectures), CELL_TITLES | dict(self.augmentations)
        return f"{rows[cell[0]]}, {columns[cell[1]]}"

    def estimates(self, metric: str) -> dict[Cell, Estimate]:
        """A metric (percent) of every cell over its seeds, beside the published value."""
        return {
            cell: estimate(results, metric, published=self.published(cell, metric)).marked(
                one_class_mark(results, self.dataset.values)
            )
            for cell, results in self.cells.items()
        }

    def published(self, cell: Cell, metric: str) -> float | None:
        """The published value beside which a cell's result is shown."""
        return None if self.comparison.own else published_value("grid", "-".join(cell), metric)

    def shown_cells(self) -> dict[str, Sequence[Result]]:
        """By title, the cells shown class by class: each row's best in validation, or its only one."""
        best = self.best_in_validation()
        return {
            self.title(cell): results
            for cell, results in self.cells.items()
            if cell in self.single_cells or best[cell[0]] == cell
        }

    def best_in_validation(self, metric: str = "test_top1_error") -> dict[str, Cell]:
        """By architecture, the cell with the least validation error, for a `metric` of the test images.

        Chosen on the validation images, because the least test error is partly least by chance.
        Architectures with a single cell have no best one.
        """
        means = {
            cell: value.mean
            for cell, value in self.estimates(metric.replace("test_", "validation_")).items()
            if cell not in self.single_cells
        }
        best: dict[str, Cell] = {}
        for cell in sorted(means, key=lambda cell: means[cell]):
            best.setdefault(cell[0], cell)
        return best


def read_grid(
    *,
    dataset: str | Path,
    metrics: Iterable[str | Path],
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
) -> Grid:
    """Read `dataset.json` and the metrics of all cells and seeds."""
    cells = group_cells(read_results(metrics), architectures, augmentations)
    return Grid(cells, architectures, augmentations, read_result(dataset))


def read_histories(grid: Grid) -> dict[Cell, list[pd.DataFrame]]:
    """The histories of all seeds by cell, from beside their metrics."""
    return {
        cell: [read_history(result.path.with_name("history.csv")) for result in results]
        for cell, results in grid.cells.items()
    }


def group_cells(
    results: Iterable[Result], architectures: Iterable[str], augmentations: Iterable[str]
) -> dict[Cell, list[Result]]:
    """Results of `…/{architecture}-{augmentation}/seed{seed}/metrics.json` by cell, in the order given.

    Cells without results are left out.
    """
    by_folder: dict[str, list[Result]] = {}
    for result in results:
        by_folder.setdefault(result.path.parents[1].name, []).append(result)
    return {
        cell: by_folder["-".join(cell)]
        for cell in product(architectures, augmentations)
        if "-".join(cell) in by_folder
    }
