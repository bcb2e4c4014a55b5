"""Writing of transforms.json, so that this project and others can read it.

Other loaders need more than this project's: OpenSplat a `camera_model` and a `ply_file_path`, Brush one of
its names for lenses and no field of view beside a focal length, nerfstudio masks for all frames or none and
lists of file names for a split, instant-ngp no coefficients of another lens model.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from triptych.scenes.calibration import COEFFICIENTS
from triptych.scenes.coordinates import World
from triptych.scenes.scene_files import TEST, TRAIN
from triptych.workflow.files import write_json

LENS = ("camera_model", "is_fisheye", "fl_x", "fl_y", "cx", "cy", "w", "h", *COEFFICIENTS[True], "p1", "p2")


def lens_entry(intrinsics: Sequence[float], *, fisheye: bool) -> dict[str, Any]:
    """The keys of a lens: fx, fy, cx, cy, four coefficients (of a fisheye or not), width and height."""
    names = ("fl_x", "fl_y", "cx", "cy", *COEFFICIENTS[fisheye])
    flag = {"is_fisheye": True} if fisheye else {}
    width, height = (round(side) for side in intrinsics[8:])
    values = dict(zip(names, map(float, intrinsics[:8]), strict=True))
    return {
        "camera_model": "OPENCV_FISHEYE" if fisheye else "OPENCV",
        **flag,
        **values,
        "w": width,
        "h": height,
    }


def _move_common_lens(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Take the lens, if all frames have the same, or else the commonest `camera_model`, out of the frames."""
    lenses = [{key: frame[key] for key in LENS if key in frame} for frame in frames]
    if all(lens == lenses[0] for lens in lenses):
        for frame in frames:
            for key in lenses[0]:
                del frame[key]
        return lenses[0]
    models = Counter(frame["camera_model"] for frame in frames)
    if len(models) == 1:
        for frame in frames:
            del frame["camera_model"]
    return {"camera_model": models.most_common(1)[0][0]}


def write_scene_file(
    target: str | Path,
    frames: list[dict[str, Any]],
    *,
    aabb_scale: int,
    world: World | None = None,
    cloud: str | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write transforms.json.

    Frames, one per image, have `file_path`, the keys of `lens_entry`, `transform_matrix`, and optionally
    `mask_path`, `split` and others. `world` is the conversion to the unit cube, unless it is instant-ngp's;
    `cloud` the path of a PLY file of points, relative to `target`.
    """
    frames = [dict(frame) for frame in frames]
    common = _move_common_lens(frames)
    box = {} if world is None else {"scale": world.scale, "offset": world.offset.tolist()}
    content = {**common, "aabb_scale": aabb_scale, **box, **({"ply_file_path": cloud} if cloud else {})}
    if any("split" in frame for frame in frames):
        names = {
            split: [frame["file_path"] for frame in frames if frame["split"] == split]
            for split in (TRAIN, TEST)
        }
        content |= {
            "train_filenames": names[TRAIN],
            "val_filenames": names[TEST],
            "test_filenames": names[TEST],
        }
    write_json(target, {**content, "frames": frames, "provenance": provenance})
