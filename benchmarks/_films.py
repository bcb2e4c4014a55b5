"""The choice of frames: memory on a long 4K film, right choices where the sharp frames are known."""

import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.ndimage import zoom

from triptych.sfm.frames import extract_frames

WIDTH, HEIGHT = 3840, 2160
CLIP_SECONDS = 10
RECIPE: dict[str, Any] = {"film": True, "fps": 2, "reject_below": 0.4, "neighbours": 4, "max_frames": 500}

MEASURED = """
import json, resource, sys
from triptych.sfm.frames import extract_frames
film, folder, recipe, threads = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
names = (f"{folder}/{name}" for name in ("frames", "frames.csv", "thumbnails"))
extract_frames(film, *names, **recipe, threads=threads)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def film_4k(target: Path, *, seconds: int = 600, fps: int = 10) -> None:
    """Write a film of 3840 x 2160 pixels: a pan over a texture, ten seconds that are repeated."""
    rng = np.random.default_rng(0)
    texture = zoom(rng.integers(0, 256, (HEIGHT // 8, (WIDTH + 8 * fps * CLIP_SECONDS) // 8 + 1)), 8, order=1)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        clip = Path(folder, "clip.mp4")
        with av.open(str(clip), "w") as container:
            stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "23"})
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for number in range(fps * CLIP_SECONDS):
                grey = np.ascontiguousarray(texture[:, 8 * number : 8 * number + WIDTH], np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
            container.mux(stream.encode())
        with av.open(str(target), "w") as container:
            copied = None
            for repetition in range(seconds // CLIP_SECONDS):
                with av.open(str(clip)) as source:
                    stream = source.streams.video[0]
                    copied = copied or container.add_stream_from_template(stream)
                    assert stream.time_base
                    shift = round(repetition * CLIP_SECONDS / stream.time_base)
                    for packet in source.demux(stream):
                        if packet.dts is not None and packet.pts is not None:
                            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                            packet.stream = copied
                            container.mux(packet)


def frames_4k_gib(*, seconds: int = 600, fps: int = 10, threads: int = 2) -> float:
    """Peak memory, in GiB, of choosing and writing the frames of a 4K film; needs 6 GB of temporary space."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder, "film.mp4")
        film_4k(film, seconds=seconds, fps=fps)
        arguments = [str(film), folder, json.dumps(RECIPE), str(threads)]
        result = subprocess.run(
            [sys.executable, "-c", MEASURED, *arguments], check=True, stdout=subprocess.PIPE, text=True
        )
    return float(result.stdout.split()[-1])


def handheld_sharp_right(film: Path, truth: Path, *, threads: int = 2) -> tuple[int, int]:
    """How many of the known sharp frames of a film are chosen, and how many there are.

    Args:
        film: one window of half a second has one sharp frame.
        truth: JSON with their numbers, `sharp_frames: [{frame: ...}]`.
        threads: number of threads of the decoder.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract_frames(film, folder / "frames", folder / "frames.csv", **RECIPE, max_size=64, threads=threads)
        with open(folder / "frames.csv", newline="", encoding="utf-8") as stream:
            kept = {int(row["frame"]) for row in csv.DictReader(stream) if row["kept"] == "True"}
    sharp = {one["frame"] for one in json.loads(truth.read_text())["sharp_frames"]}
    return len(kept & sharp), len(sharp)
