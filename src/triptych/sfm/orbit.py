"""The embedded scene: a film of a made-up still life whose camera poses are known exactly.

The film is made to be as awkward as a phone's: the camera wavers, and shaky moments blur
some frames, so that every step from frame choice to pose comparison has something to do.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.video import write_video
from triptych.sfm.still_life import World, still_life, trace
from triptych.workflow.files import write_json
from triptych.workflow.progress import Progress
from triptych.workflow.seeds import numpy_generator

FIELD_OF_VIEW = np.radians(50)  # across the width
DISTANCE = 4.0
BLURRED_SAMPLES = 10  # spread over the exposure; a sharp frame has 2 x 2 within a pixel
CHUNK = 16_384  # rays traced together: their arrays stay in the processor's cache
AABB_SCALE = 4  # with the dome 5.5 away: instant-ngp's unit cube is 3 wide in these units


def look_at(eye: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Camera-to-world (4, 4) of a level camera: x right, y up, looking along -z; world up is +z."""
    backward = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(backward, right), backward, eye
    return pose


def camera_path(frames: int, *, sweep: float) -> NDArray[np.float64]:
    """(frames, 4, 4) camera-to-world poses of a walk around the still life.

    Elevation goes up and down between 14 and 46 degrees and distance by 8 %: on a perfect
    circle, focal length and distance could not be told apart.

    Args:
        frames: how many.
        sweep: degrees of the circle that are walked.
    """
    poses = []
    for share in np.linspace(0, 1, frames):
        azimuth = np.radians(sweep) * share
        elevation = np.radians(30 + 16 * np.sin(2 * np.pi * 1.5 * share + 0.4))
        distance = DISTANCE * (1 + 0.08 * np.cos(2 * np.pi * 2.3 * share))
        eye = distance * np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        wander = 0.1 * np.array([np.sin(9.1 * share), np.cos(7.3 * share), np.sin(5.7 * share + 1)])
        poses.append(look_at(eye, wander))
    return np.stack(poses)


def blurred_frames(frames: int, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(frames,) bool: shaky moments of 1 to 4 frames until `share` of the film is blurred."""
    blurred = np.zeros(frames, bool)
    while blurred.sum() < round(share * frames):
        start = rng.integers(0, frames)
        blurred[start : start + rng.integers(1, 5)] = True
    # A burst may overshoot: give the last ones back, so that the share is what was asked for.
    blurred[np.flatnonzero(blurred)[round(share * frames) :]] = False
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
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "w": width,
        "h": height,
    }


def render(
    world: World,
    pose: NDArray[np.float64],
    *,
    width: int,
    height: int,
    offsets: NDArray[np.float64],
    shakes: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """One picture, (height, width, 3) uint8: the mean over samples within pixel and exposure.

    Args:
        world: what is filmed.
        pose: camera-to-world at mid exposure, (4, 4), looking along -z.
        width: pixels.
        height: pixels.
        offsets: (samples, 2) places within a pixel, 0..1.
        shakes: (samples, 2) how far the picture has shifted at each sample, in pixels.
    """
    focal = intrinsics(width, height)["fl_x"]
    turn, eye = pose[:3, :3].astype(np.float32), pose[:3, 3:].astype(np.float32)
    shifts = offsets if shakes is None else offsets + shakes
    picture = np.empty((height * width, 3), np.uint8)
    for start in range(0, height * width, CHUNK):
        rows, columns = np.divmod(np.arange(start, min(start + CHUNK, height * width)), width)
        total = np.zeros((rows.size, 3), np.float32)
        for shift_x, shift_y in shifts:
            right = (columns + (shift_x - width / 2)) / focal
            up = (height / 2 - shift_y - rows) / focal
            direction = turn @ np.stack([right, up, -np.ones(rows.size)]).astype(np.float32)
            direction /= np.sqrt(np.sum(direction * direction, axis=0))
            total += trace(world, eye, direction)
        picture[start : start + CHUNK] = np.clip(total * (255 / len(shifts)) + 0.5, 0, 255)
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
    """Render the film and write it beside its true cameras.

    `truth` is a transforms.json of all film frames in order of time. Each entry also has
    `frame`, `time` in seconds, and `blurred`. Names are those that frame extraction gives.

    Args:
        film: becomes an H.264 .mp4.
        truth: becomes a .json.
        width: pixels, even.
        height: pixels, even.
        frames: length of the film.
        fps: frames a second.
        sweep: degrees walked around the still life.
        blurred: share of frames with motion blur, 0 to 0.6.
        seed: of the textures and of the shaky moments.
        threads: renderers side by side.
        provenance: added to `truth`.
    """
    camera = intrinsics(width, height)
    world = still_life(seed, density=camera["fl_x"] / DISTANCE)
    poses = camera_path(frames, sweep=sweep)
    rng = numpy_generator("orbit", seed)
    shaky = blurred_frames(frames, blurred, rng)
    grid = (np.stack(np.meshgrid([0.25, 0.75], [0.25, 0.75]), axis=-1)).reshape(-1, 2)
    angles = rng.random(frames) * 2 * np.pi
    lengths = width * rng.uniform(0.02, 0.035, frames)
    spread = np.linspace(-0.5, 0.5, BLURRED_SAMPLES)[:, None]
    scatter = rng.random((BLURRED_SAMPLES, 2))

    def shoot(frame: int) -> NDArray[np.uint8]:
        if not shaky[frame]:
            return render(world, poses[frame], width=width, height=height, offsets=grid)
        stroke = lengths[frame] * np.array([[np.cos(angles[frame]), np.sin(angles[frame])]])
        return render(
            world, poses[frame], width=width, height=height, offsets=scatter, shakes=spread * stroke
        )

    def pictures() -> Iterator[NDArray[np.uint8]]:
        with (
            ThreadPoolExecutor(threads) as pool,
            Progress(frames, "filming the orbit", unit="frame") as progress,
        ):
            for picture in pool.map(shoot, range(frames)):
                progress.update()
                yield picture

    write_video(film, pictures(), fps=fps, threads=threads)
    write_json(
        truth,
        {
            **camera,
            "aabb_scale": AABB_SCALE,
            "frames": [
                {
                    "file_path": f"frames/{frame:06d}.png",
                    "frame": frame,
                    "time": frame / fps,
                    "blurred": bool(shaky[frame]),
                    "transform_matrix": poses[frame].tolist(),
                }
                for frame in range(frames)
            ],
            "provenance": provenance,
        },
    )
