"""The curves of a training: `history.csv` and TensorBoard events from the same rows."""

import csv
from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from triptych.workflow.files import atomic_path

Row = dict[str, float]


class History:
    """Rows of numbers keyed by one of them (an epoch or a step), each written to TensorBoard at once.

    A resumed run replays the rows of its earlier part, which are in its checkpoint.
    """

    def __init__(self, events: str | Path, *, key: str, rows: Sequence[Row] = ()) -> None:
        self.key = key
        self.rows: list[Row] = []
        Path(events).mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(events))
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Append one row; columns may differ between rows."""
        self.rows.append(row)
        for name, value in row.items():
            if name != self.key:
                self._writer.add_scalar(name, value, int(row[self.key]))
        self._writer.flush()

    def close(self, target: str | Path) -> None:
        """Write `history.csv` atomically and close the event file."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self.rows)
        self._writer.close()
