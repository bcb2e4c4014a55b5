"""What lies where in the CIFAR python archives; light enough for the workflow to import."""

from dataclasses import dataclass
from pathlib import Path

from triptych.workflow.errors import TriptychError


@dataclass(frozen=True)
class Layout:
    """One of the two archives: its folder, its files, and the keys of its dictionaries."""

    kind: str
    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    label_key: str
    names_key: str
    num_classes: int

    @property
    def files(self) -> tuple[str, ...]:
        """All file names that are read."""
        return (*self.train, self.test, self.meta)


LAYOUTS = (
    Layout(
        kind="cifar10",
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test="test_batch",
        meta="batches.meta",
        label_key="labels",
        names_key="label_names",
        num_classes=10,
    ),
    Layout(
        kind="cifar100",
        folder="cifar-100-python",
        train=("train",),
        test="test",
        meta="meta",
        label_key="fine_labels",
        names_key="fine_label_names",
        num_classes=100,
    ),
)


def find_unpacked(path: str | Path) -> tuple[Layout, Path]:
    """Recognise an unpacked archive by its content, at `path` or in the official folder inside it.

    Raises:
        TriptychError: neither archive's files are there, or both are, or some are missing.
    """
    path = Path(path).expanduser()
    found = [
        (layout, folder)
        for layout in LAYOUTS
        for folder in (path, path / layout.folder)
        if (folder / layout.meta).is_file()
    ]
    if len(found) != 1:
        what = " or ".join(f"{layout.folder}/{layout.meta}" for layout in LAYOUTS)
        problem = "holds both CIFAR archives" if found else "holds no unpacked CIFAR archive"
        raise TriptychError(f"{path} {problem}; give the folder that has {what}")
    layout, folder = found[0]
    missing = [name for name in layout.files if not (folder / name).is_file()]
    if missing:
        raise TriptychError(f"{folder} lacks {', '.join(missing)}; unpack the {layout.kind} archive again")
    return layout, folder
