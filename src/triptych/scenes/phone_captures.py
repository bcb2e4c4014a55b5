"""Raw captures of phone apps: Record3D's `metadata.json`, and the keyframes of Polycam's developer mode.

Both come with poses of ARKit: y is up, and lengths are metres. They are turned so that z is up, as other
scene files have it, and a scale and an offset put the scene into the box.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from triptych.scenes.normalisation import fitting_world
from triptych.scenes.scene_files import SceneFile, scene_of
from triptych.scenes.scene_json import invalid, parse_scene_json
from triptych.workflow.errors import TriptychError

AABB_SCALE = 4
# As nerfstudio reads them: undistortion may leave a black border of 15 pixels on 768, and images with a lower
# score are blurred.
CROP, MIN_BLUR_SCORE = 0.02, 25
Z_UP = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # x, y, z become y, z, x


def record3d_scene(path: Path, content: Mapping[str, Any]) -> SceneFile:
    """The scene of a Record3D capture: `rgb/NUMBER.jpg` or .png, and poses and intrinsics in metadata.json.

    Its object has `poses` (n, 7), a quaternion (x, y, z, w) and a position each; `K` (9,), the camera matrix
    by columns; `w`, `h`; optionally `perFrameIntrinsicCoeffs` (n, 4) fx, fy, cx, cy. Raises `TriptychError`
    if it has another form.
    """
    try:
        poses = np.asarray(content["poses"], dtype=np.float64).reshape(-1, 7)
        matrix = np.asarray(content["K"], dtype=np.float64).reshape(3, 3).T
        rotation = Rotation.from_quat(poses[:, :4]).as_matrix()
        lens = np.tile([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], (len(poses), 1))
        if content.get("perFrameIntrinsicCoeffs"):
            lens = np.asarray(content["perFrameIntrinsicCoeffs"], dtype=np.float64).reshape(-1, 4)
        to_world = np.tile(np.eye(4), (len(poses), 1, 1))
        to_world[:, :3] = np.concatenate([rotation, poses[:, 4:, None]], axis=2)
        frames = [
            {
                "file_path": f"rgb/{number}",
                **dict(zip(("fl_x", "fl_y", "cx", "cy"), map(float, one), strict=True)),
                "transform_matrix": (Z_UP @ pose).tolist(),
            }
            for number, (pose, one) in enumerate(zip(to_world, lens, strict=True))
        ]
        size = {key: content[key] for key in ("w", "h")}
    except (KeyError, TypeError, ValueError) as error:
        raise invalid(path, f"metadata of Record3D: {type(error).__name__}: {error}") from error
    return _scene(path, {**size, "frames": frames})


def _scene(path: Path, content: dict[str, Any]) -> SceneFile:
    """The scene, with a box around what its cameras look at."""
    poses = np.array([frame["transform_matrix"] for frame in content["frames"]])
    if not len(poses) or not np.isfinite(poses).all():
        raise invalid(path, "a pose is not finite" if len(poses) else "it has no poses")
    if not np.ptp(poses[:, :3, 3], axis=0).any():
        raise TriptychError(
            f"{path}: all cameras are in one place, so the app did not track them (Record3D tracks with "
            "LiDAR only); say source: folder for the images, and their poses will be estimated"
        )
    return replace(scene_of(path, content), world=fitting_world(poses), aabb_scale=AABB_SCALE)


def polycam_scene(folder: Path) -> SceneFile | None:
    """The scene of a raw Polycam capture, or None if the folder has none.

    `keyframes/corrected_images` with `corrected_cameras` are preferred to `images` with `cameras`; their
    borders are cropped. Images with a low `blur_score` are left out.
    Raises `TriptychError` if a file of a camera has another form.
    """
    for prefix in ("corrected_", ""):
        cameras = sorted((folder / f"keyframes/{prefix}cameras").glob("*.json"))
        if cameras:
            break
    else:
        return None
    frames, blurred, crop = [], set(), 0
    for path in cameras:
        camera = parse_scene_json(path)
        try:
            pose = [[float(camera[f"t_{row}{column}"]) for column in range(4)] for row in range(3)]
            size = {side: float(camera[side]) for side in ("width", "height")}
            crop = round(CROP * min(size.values())) if prefix else 0
            if float(camera.get("blur_score", MIN_BLUR_SCORE)) < MIN_BLUR_SCORE:
                blurred.add(f"keyframes/{prefix}images/{path.stem}")
            frames.append(
                {
                    "file_path": f"keyframes/{prefix}images/{path.stem}",
                    **{f"fl_{axis}": float(camera[f"f{axis}"]) for axis in "xy"},
                    **{key: float(camera[key]) - crop for key in ("cx", "cy")},
                    **{side[0]: pixels - 2 * crop for side, pixels in size.items()},
                    "transform_matrix": (Z_UP @ np.array([*pose, [0, 0, 0, 1]])).tolist(),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise invalid(path, f"camera of Polycam: {type(error).__name__}: {error}") from error
    scene = _scene(folder / "keyframes.json", {"frames": frames})
    score = f"is blurred: its blur_score is below {MIN_BLUR_SCORE}"
    used = [
        replace(frame, image=None, left_out=score) if frame.name in blurred else replace(frame, crop=crop)
        for frame in scene.frames
    ]
    return replace(scene, paths=tuple(cameras), frames=used)
