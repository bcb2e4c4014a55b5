"""The JSON of a scene file: its object, its numbers, and the box and coordinates that it declares."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from triptych.scenes.coordinates import OFFSET, SCALE, Array, World
from triptych.scenes.listed_files import printable
from triptych.workflow.errors import TriptychError, malformed

AABB_SCALES = (1, 2, 4, 8, 16, 32, 64, 128)
MAX_BYTES = 64 * 2**20
MITSUBA_SCALE = 0.66  # instant-ngp's convention for files with `normal_mts_args`
COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def parse_scene_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file in any Unicode encoding; comments are allowed, as in instant-ngp.
    Raises `TriptychError` if it is missing, too large, or not a JSON object.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TriptychError(
                f"{path}: larger than {MAX_BYTES >> 20} MiB; list fewer frames, or leave out other values"
            )
        text = path.read_bytes()
        try:
            content = json.loads(text)
        except json.JSONDecodeError:
            content = json.loads(COMMENT.sub(r"\1", text.decode(json.detect_encoding(text))))
    except FileNotFoundError as error:
        raise TriptychError(f"{path}: not found; run the pose estimation of this scene first") from error
    except RecursionError as error:
        raise invalid(path, "it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise invalid(path, malformed(error)) from error
    if not isinstance(content, dict):
        raise invalid(path, "it is not an object with frames")
    return content


def invalid(path: Path, reason: str) -> TriptychError:
    """The error for a file that is not a scene file."""
    return TriptychError(f"{path}: not a valid transforms.json ({reason}); write it again")


def number(value: object) -> float:
    """A finite number, also one that is written as text. Raises `ValueError` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise ValueError("not finite")
    return result


def _top_level(path: Path, content: Mapping[str, Any], key: str, default: float) -> float:
    try:
        return number(content.get(key, default))
    except ValueError as error:
        shown = printable(repr(content[key]))
        raise TriptychError(f"{path}: {key} is {shown}; it must be a finite number") from error


def _points(path: Path, key: str, value: object, shape: tuple[int, ...]) -> Array:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.shape != shape or not np.isfinite(array).all():
        raise TriptychError(f"{path}: {key} must have {' x '.join(map(str, shape))} finite numbers")
    return array


def world_of(path: Path, content: Mapping[str, Any]) -> World:
    """The conversion to the unit cube, by instant-ngp's `scale`, `offset` and `aabb`, checked."""
    if "aabb" in content:
        low, high = _points(path, "aabb", content["aabb"], (2, 3))
        scale = 1 / max(1e-6, float(np.abs(high - low).max()))
        return World(scale, 0.5 - (low + high) / 2 * scale)
    mitsuba = "normal_mts_args" in content
    scale = _top_level(path, content, "scale", MITSUBA_SCALE if mitsuba else SCALE)
    if scale <= 0:
        raise TriptychError(f"{path}: scale is {scale:g}; it must be above 0")
    offset = content.get("offset", 0.25 * scale if mitsuba else OFFSET)
    if not isinstance(offset, list):
        offset = [_top_level(path, {"offset": offset}, "offset", OFFSET)] * 3
    return World(scale, _points(path, "offset", offset, (3,)))


def aabb_scale_of(path: Path, content: Mapping[str, Any]) -> int:
    """The side of the box, by default 1. Raises `TriptychError` if it is not one of `AABB_SCALES`."""
    scale = _top_level(path, content, "aabb_scale", 1)
    if scale not in AABB_SCALES:
        raise TriptychError(f"{path}: aabb_scale is {scale:g}; it must be a power of two from 1 to 128")
    return int(scale)
