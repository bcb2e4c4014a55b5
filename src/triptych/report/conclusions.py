"""The report's conclusions, tested with the results of a grid on the published data set."""

from collections.abc import Sequence

from triptych.report.answers import COLUMNS, ROWS, TOP1
from triptych.report.part2_contrasts import Contrast, tested_pairs
from triptych.report.part2_grid import NOT_RUN, Cell, Grid
from triptych.report.sections import Answer
from triptych.report.statistics import count_range

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"
FAR = 10.0  # percentage points; the report's own differences are 19 to 26


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
