"""Tables as csv, Markdown and LaTeX."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from triptych.report.statistics import Estimate
from triptych.workflow.files import atomic_path, write_text

Cell = str | int | None | Estimate
MISSING = "–"
SENTENCE_END = re.compile(r"(?<!\b[A-Z])(?<!\b[A-Z][a-z])\. (?![^“(\[]*[”)\]])")


@dataclass(frozen=True)
class Table:
    """A table for readers: the first cell of each row is its heading.

    `published_label` names the published values beside the estimates; None: there are none. Empty notes are
    left out.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    published_label: str | None = None

    def __post_init__(self) -> None:
        if any(len(row) != len(self.header) for row in self.rows):
            raise ValueError(f"table '{self.caption}': every row must have {len(self.header)} cells")


def cell_text(cell: Cell, *, with_published: bool = True) -> str:
    """Plain text of a cell; an estimate is followed by the published value in brackets, if wanted."""
    if isinstance(cell, Estimate):
        if not with_published:
            return str(cell)
        return f"{cell} ({MISSING if cell.published is None else f'{cell.published:.2f}'})"
    if cell is None:
        return MISSING
    return f"{cell:,}" if isinstance(cell, int) else cell


def sentences(text: str) -> list[str]:
    """The sentences of a text; `St. Gallen`, `J. Doe` and what stands in brackets or quotes stay whole."""
    return SENTENCE_END.sub(".\n", text).split("\n")


def first_sentence(text: str) -> tuple[str, str]:
    """A note's first sentence, which the page shows, and the others, which it folds away."""
    first, *others = sentences(text)
    return first, " ".join(others)


def all_notes(table: Table) -> list[str]:
    """The table's notes, with one that says what the brackets of estimates contain."""
    has_estimates = any(isinstance(cell, Estimate) for row in table.rows for cell in row)
    brackets = has_estimates and table.published_label is not None
    return [f"In brackets: {table.published_label}."] * brackets + list(filter(None, table.notes))


def row_texts(table: Table) -> list[list[str]]:
    """The cells of all rows as plain text."""
    with_published = table.published_label is not None
    return [[cell_text(cell, with_published=with_published) for cell in row] for row in table.rows]


def escape_markdown(text: str) -> str:
    """Make text literal in a Markdown table cell or line."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&$])", r"\\\1", " ".join(text.split()))


def markdown(table: Table) -> str:
    """A GitHub-flavoured Markdown table with its caption above and its notes below."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join(
        [
            f"**{escape_markdown(table.caption)}**",
            "",
            line([escape_markdown(cell) for cell in table.header]),
            line(["---", *["---:"] * (len(table.header) - 1)]),
            *[line([escape_markdown(cell) for cell in row]) for row in row_texts(table)],
            *[f"\n{escape_markdown(note)}" for note in all_notes(table)],
            "",
        ]
    )


LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≈": r"$\approx$",
    "≥": r"$\geq$",
    "¹": r"\textsuperscript{1}",
    "⁵": r"\textsuperscript{5}",
    "†": r"$\dagger$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "⚠": "(!)",
    "α": r"$\alpha$",
    "–": "--",
    "“": "``",
    "”": "''",
}


def escape_latex(text: str) -> str:
    """Make text literal in LaTeX; a leading `{}` separates `*` or `[` from the end of the row before."""
    literal = "".join(LATEX.get(character, character) for character in text)
    return f"{{}}{literal}" if literal.startswith(("*", "[")) else literal


def latex(table: Table) -> str:
    """A LaTeX table float; it needs the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(map(escape_latex, cells))} \\\\"

    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(table.caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
            r"\toprule",
            line(table.header),
            r"\midrule",
            *[line(row) for row in row_texts(table)],
            r"\bottomrule",
            r"\end{tabular}",
            *[rf"\par\smallskip{{\footnotesize {escape_latex(note)}}}" for note in all_notes(table)],
            r"\end{table}",
            "",
        ]
    )


def write_tables(tables: Sequence[Table], rows: pd.DataFrame, targets: Iterable[str | Path]) -> None:
    """Write each target atomically: `rows` as .csv (long form, for machines), `tables` as .md or .tex."""
    for target in targets:
        suffix = Path(target).suffix
        if suffix == ".csv":
            with atomic_path(target) as temporary:
                rows.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
        else:
            write = {".md": markdown, ".tex": latex}[suffix]
            write_text(target, "\n".join(map(write, tables)))
