"""The scene files of instant-ngp and its relatives: which frames there are, and where their files lie.

Nothing but the file itself is read, and little is imported: the workflow asks before it plans.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.workflow.errors import TriptychError, malformed

# The format's convention: world positions times SCALE plus OFFSET lie in the unit cube.
SCALE = 0.33
OFFSET = 0.5
AABB_SCALES = (1, 2, 4, 8, 16, 32, 64, 128)
TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Mask:
    """Which pixels of an image do not count.

    Attributes:
        file: an image of the photograph's size.
        hides: whether its black (0) or its other pixels are ignored.
    """

    file: Path
    hides: str


@dataclass(frozen=True)
class Frame:
    """One entry of a scene file.

    Attributes:
        name: what the file calls it: its `file_path`.
        values: its own keys, and those that stand at the top for all frames.
        image: the image, or None if there is no such file.
        mask: what to ignore of it, if anything.
        split: `train` or `test` where the file tells them apart.
    """

    name: str
    values: dict[str, Any]
    image: Path | None
    mask: Mask | None
    split: str | None


@dataclass(frozen=True)
class TransformsFile:
    """A scene file, its frames in the order in which they stand.

    Attributes:
        path: where it lies.
        aabb_scale: side of the box that holds the scene, in unit cubes.
        scale: file coordinates times this, plus `offset`, are unit-cube coordinates.
        offset: three numbers.
        frames: one for each listed image.
    """

    path: Path
    aabb_scale: int
    scale: float
    offset: tuple[float, float, float]
    frames: list[Frame]

    def where(self, frame: Frame) -> str:
        """How messages name a frame."""
        return f"{self.path}, frame {frame.name}"


def _image(folder: Path, file_path: str) -> Path | None:
    """The file a frame names; synthetic scenes leave out `.png`."""
    for candidate in (folder / file_path, folder / f"{file_path}.png"):
        if candidate.is_file():
            return candidate
    return None


def _mask(folder: Path, mask_path: str | None, image: Path | None, where: str) -> Mask | None:
    """The mask a frame names, or else one beside the image.

    The two conventions are opposite: a `mask_path` (nerfstudio) is black, a `dynamic_mask_NAME.png`
    (instant-ngp) is anything but black where the image is to be ignored.
    """
    if mask_path is not None:
        if not (folder / mask_path).is_file():
            raise TriptychError(f"{where}: its mask {mask_path} does not exist; correct or remove mask_path")
        return Mask(folder / mask_path, hides="black")
    beside = None if image is None else image.with_name(f"dynamic_mask_{image.stem}.png")
    return Mask(beside, hides="white") if beside is not None and beside.is_file() else None


def _offset(value: Any) -> tuple[float, float, float]:
    x, y, z = value if isinstance(value, list) else (value, value, value)
    return float(x), float(y), float(z)


def read_transforms(path: str | Path) -> TransformsFile:
    """Read a scene file and look for the images and masks that it names.

    Args:
        path: the JSON file; `file_path` and `mask_path` entries are relative to it.

    Raises:
        TriptychError: it is missing or malformed, or names a mask that does not exist.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        listed, common = content["frames"], {key: content[key] for key in content if key != "frames"}
        frames = []
        for values in listed:
            name, mask_path = str(values["file_path"]), values.get("mask_path")
            image = _image(path.parent, name)
            mask = _mask(path.parent, mask_path, image, f"{path}, frame {name}")
            frames.append(Frame(name, common | values, image, mask, values.get("split")))
        result = TransformsFile(
            path=path,
            aabb_scale=int(content.get("aabb_scale", 1)),
            scale=float(content.get("scale", SCALE)),
            offset=_offset(content.get("offset", OFFSET)),
            frames=frames,
        )
    except FileNotFoundError as error:
        raise TriptychError(f"{path}: not found; run the pose estimation of this scene first") from error
    except (
        json.JSONDecodeError,
        UnicodeDecodeError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise TriptychError(
            f"{path}: not a valid transforms.json ({malformed(error)}); write it again"
        ) from error
    if result.aabb_scale not in AABB_SCALES:
        raise TriptychError(
            f"{path}: aabb_scale is {result.aabb_scale}; it must be a power of two from 1 to 128"
        )
    for frame in frames:
        if frame.split not in (None, TRAIN, TEST):
            raise TriptychError(f"{result.where(frame)}: split is {frame.split!r}; it must be train or test")
    return result


def check_splits(path: str | Path, frames: list[Frame]) -> None:
    """Raise `TriptychError` unless no frame has a split, or all have one and both kinds are there."""
    found = {frame.split for frame in frames}
    if found not in ({None}, {TRAIN, TEST}):
        raise TriptychError(
            f"{path}: either no image has a split, or each one is train or test and there are both; "
            f"found {', '.join(sorted(str(split) for split in found))}"
        )
