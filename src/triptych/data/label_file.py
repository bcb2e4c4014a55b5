"""Labels of images in a csv file: `file,label`, and optionally `split`."""

import csv
from pathlib import Path

from triptych.workflow.errors import TriptychError, printable

PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def part_named(name: str) -> str | None:
    """`train`, `validation` or `test`, if that is what a folder or a split of this name means."""
    return next((part for part, names in PARTS.items() if name.lower() in names), None)


def read_labels(path: Path) -> dict[str, tuple[str, str | None]]:
    """Label and part (`train`, `validation`, `test`; None if not given) of each file, by its name.

    The columns `file` and `label` must be there, `split` may be; others are ignored. The first line decides
    whether commas, semicolons or tabs separate them.

    Raises:
        TriptychError: the file is missing, has other columns, an empty cell, an unknown split, or the same
            image twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problem, remedy = getattr(error, "strerror", None), "correct `labels`"
        if problem is None:
            problem, remedy = "it is not UTF-8", "save it as UTF-8"
        raise TriptychError(f"{path}: the labels cannot be read ({problem}); {remedy}") from error
    header = lines[0] if lines else ""
    rows = csv.DictReader(lines, delimiter=next((sign for sign in ",;\t" if sign in header), ","))
    columns = [name.strip() for name in rows.fieldnames or []]
    rows.fieldnames = columns
    if not {"file", "label"} <= set(columns):
        raise TriptychError(
            f"{path} has the columns {printable(', '.join(columns)) or '(none)'}; "
            "the labels need 'file' and 'label'"
        )
    found: dict[str, tuple[str, str | None]] = {}
    for row in rows:
        name, label, split = ((row.get(key) or "").strip() for key in ("file", "label", "split"))
        where = f"{path}, line {rows.line_num}"
        if not name or not label:
            raise TriptychError(
                f"{where}: the {'label' if name else 'file'} is empty; fill it or remove the line"
            )
        if name in found:
            raise TriptychError(f"{where}: {printable(name)} is there twice; remove one of the lines")
        part = part_named(split) if split else None
        if split and part is None:
            raise TriptychError(f"{where}: split is '{printable(split)}' but must be train, val or test")
        found[name] = label, part
    return found
