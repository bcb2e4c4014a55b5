"""The embedded scene: a film of a made-up still life whose camera poses are known exactly.

The film is as imperfect as a phone's: the camera wavers, and shaky moments blur some frames. It thus
exercises every step from the choice of frames to the comparison of poses.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.video import write_video
from triptych.sfm.still_life import StillLife, still_life, trace
from triptych.workflow.files import write_json
from triptych.workflow.progress import Progress
from triptych.workflow.seeds import numpy_generator

Array = NDArray[np.float64]

FIELD_OF_VIEW = np.radians(50)  # across the width
DISTANCE = 4.0
TEXELS_PER_PIXEL = 0.7  # at that distance; fields see smaller images, to which finer texture is noise
# Positions within a pixel, 0..1, at which a sharp frame is sampled.
GRID = np.stack(np.meshgrid([0.25, 0.75], [0.25, 0.75]), axis=-1).reshape(-1, 2)
BLURRED_SAMPLES = 10  # spread over the exposure of a blurred frame
CHUNK = 16_384  # rays traced together: their arrays stay in the processor's cache
AABB_SCALE = 4  # for a dome of radius 5.5: instant-ngp's unit cube is 3 wide in these units


def look_at(eye: Array, target: Array) -> Array:
    """Camera-to-world (4, 4) of a level camera: x right, y up, looking along -z; world up is +z."""
    backward = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(backward, right), backward, eye
    return pose


def orbit_poses(frames: int, *, sweep: float) -> Array:
    """(frames, 4, 4) camera-to-world poses of a walk of `sweep` degrees around the still life.

    Elevation goes up and down between 14 and 46 degrees and distance by 8 %: on a perfect
    circle, focal length and distance could not be distinguished.
    """
    poses = []
    for t in np.linspace(0, 1, frames):
        azimuth = np.radians(sweep) * t
        elevation = np.radians(30 + 16 * np.sin(2 * np.pi * 1.5 * t + 0.4))
        distance = DISTANCE * (1 + 0.08 * np.cos(2 * np.pi * 2.3 * t))
        eye = distance * np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        target = 0.1 * np.array([np.sin(9.1 * t), np.cos(7.3 * t), np.sin(5.7 * t + 1)])
        poses.append(look_at(eye, target))
    return np.stack(poses)


def blurred_frames(frames: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(frames,) bool: shaky moments of 1 to 4 frames until `share` of the film is blurred."""
    blurred = np.zeros(frames, bool)
    count = round(share * frames)
    while blurred.sum() < count:
        start = rng.integers(0, frames)
        blurred[start : start + rng.integers(1, 5)] = True
    blurred[np.flatnonzero(blurred)[count:]] = False  # the last moment may have been too long
    return blurred


def intrinsics(width: int, height: int) -> dict[str, float]:
    """Exact pinhole intrinsics in pixels, as in a transforms.json; pixel centres are at .5."""
    focal = width / 2 / np.tan(FIELD_OF_VIEW / 2)
    return {
        "camera_angle_x": float(FIELD_OF_VIEW),
        "camera_angle_y": float(2 * np.arctan(height / 2 / focal)),
        "fl_x": float(focal),
        "fl_y": float(focal),
        "cx": width / 2,
        "cy": height / 2,
        **dict.fromkeys(("k1", "k2", "p1", "p2"), 0.0),
        "w": width,
        "h": height,
    }


def render(scene: StillLife, pose: Array, *, width: int, height: int, samples: Array) -> NDArray[np.uint8]:
    """One picture of `scene`, (height, width, 3) uint8: the mean over samples within pixel and exposure.

    Args:
        pose: camera-to-world at mid exposure, (4, 4), looking along -z.
        samples: (n, 2) offsets in pixels; 0..1 is within the pixel itself.
    """
    focal = intrinsics(width, height)["fl_x"]
    rotation, eye = pose[:3, :3].astype(np.float32), pose[:3, 3:].astype(np.float32)
    picture = np.empty((height * width, 3), np.uint8)
    for start in range(0, height * width, CHUNK):
        rows, columns = np.divmod(np.arange(start, min(start + CHUNK, height * width)), width)
        total = np.zeros((rows.size, 3), np.float32)
        for x, y in samples:
            right = (columns + (x - width / 2)) / focal
            up = (height / 2 - y - rows) / focal
            direction = rotation @ np.stack([right, up, -np.ones(rows.size)]).astype(np.float32)
            direction /= np.sqrt(np.sum(direction * direction, axis=0))
            total += trace(scene, eye, direction)
        picture[start : start + CHUNK] = np.clip(total * (255 / len(samples)) + 0.5, 0, 255)
    return picture.reshape(height, width, 3)


def film_orbit(
    film: str | Path,
    truth: str | Path,
    *,
    width: int,
    height: int,
    frames: int,
    fps: float,
    sweep: float,
    blurred: float,
    seed: int,
    threads: int = 1,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Render `film`, H.264 in .mp4, and write it, with its true cameras in a separate file.

    Args:
        truth: the transforms.json to write, with all film frames in order of time. Each entry also has
            `frame`, `time` in seconds, and `blurred`. Names are those of the extracted frames.
        width, height: pixels, even.
        sweep: degrees walked around the still life.
        blurred: share of frames with motion blur, 0 to 0.6.
        seed: seed of the shaky moments.
    """
    camera = intrinsics(width, height)
    scene = still_life(density=TEXELS_PER_PIXEL * camera["fl_x"] / DISTANCE)
    poses = orbit_poses(frames, sweep=sweep)
    rng = numpy_generator("orbit", seed)
    shaky = blurred_frames(frames, blurred, rng)
    angles = rng.random(frames) * 2 * np.pi
    lengths = width * rng.uniform(0.02, 0.035, frames)
    exposure = np.linspace(-0.5, 0.5, BLURRED_SAMPLES)[:, None]
    scatter = rng.random((BLURRED_SAMPLES, 2))

    def shoot(frame: int) -> NDArray[np.uint8]:
        samples = GRID
        if shaky[frame]:
            stroke = lengths[frame] * np.array([[np.cos(angles[frame]), np.sin(angles[frame])]])
            samples = scatter + exposure * stroke
        return render(scene, poses[frame], width=width, height=height, samples=samples)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        with (
            ThreadPoolExecutor(threads) as pool,
            Progress(frames, "filming the orbit", unit="frame") as progress,
        ):
            for picture in pool.map(shoot, range(frames)):
                progress.update()
                yield picture

    write_video(film, pictures(), fps=fps, threads=1)  # the film must not depend on their number
    entries = [
        {
            "file_path": f"frames/{frame:06d}.png",
            "frame": frame,
            "time": frame / fps,
            "blurred": bool(shaky[frame]),
            "transform_matrix": poses[frame].tolist(),
        }
        for frame in range(frames)
    ]
    write_json(truth, {**camera, "aabb_scale": AABB_SCALE, "frames": entries, "provenance": provenance})
