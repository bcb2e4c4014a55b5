"""Stands in for `scripts/run.py` of NVlabs' instant-ngp 2.0, which needs a GPU.

It accepts the documented arguments and no others, reads the files that the program reads and refuses what it
refuses, and writes what it writes. What it "learns" is the photographs: a test view is rendered as its own
photograph, a little too bright. STANDIN_FAILURE names a recorded output to fail with, STANDIN_LOSS its loss.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

BRIGHTER = 8  # grey levels
FORMATS = ("png", "jpg", "jpeg", "bmp", "gif", "tga", "pic", "pnm", "psd", "exr")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*")
    texts = {
        "scene": ["training_data"],
        "load_snapshot": ["snapshot"],
        **{name: [] for name in ("mode", "network", "save_snapshot", "test_transforms", "train_mode")},
        **{
            name: [] for name in ("screenshot_transforms", "screenshot_dir", "video_camera_path", "save_mesh")
        },
    }
    for name, others in texts.items():
        parser.add_argument(f"--{name}", *(f"--{other}" for other in others), default="")
    for name, default in {
        "n_steps": -1,
        "rfl_warmup_steps": 1000,
        "rflrelax_begin_step": 15000,
        "rflrelax_end_step": 30000,
        "screenshot_spp": 16,
        "video_fps": 60,
        "video_n_seconds": 1,
        "video_spp": 8,
        "marching_cubes_res": 256,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in {
        "near_distance": -1.0,
        "exposure": 0.0,
        "marching_cubes_density_thresh": 2.5,
    }.items():
        parser.add_argument(f"--{name}", type=float, default=default)
    for name in ("nerf_compatibility", "video_camera_smoothing", "gui", "train", "second_window", "vr"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--width", "--screenshot_w", type=int, default=0)
    parser.add_argument("--height", "--screenshot_h", type=int, default=0)
    parser.add_argument("--screenshot_frames", nargs="*")
    parser.add_argument("--video_render_range", type=int, nargs=2, default=(-1, -1))
    parser.add_argument("--video_output", default="video.mp4")
    parser.add_argument("--sharpen", default=0)
    return parser.parse_args()


def load(path: str) -> list[tuple[dict, np.ndarray]]:
    """The frames of a transforms.json with their images, checked as the program checks them."""
    content = json.loads(Path(path).read_text())
    scale = content.get("aabb_scale", 1)
    if scale not in [2**power for power in range(8)]:
        raise RuntimeError(f"NeRF dataset's `aabb_scale` must be a power of two, but is {scale}.")
    loaded = []
    for frame in content["frames"]:
        file = Path(path).parent / frame["file_path"]
        if not file.is_file() and not file.suffix:
            file = next((there for end in FORMATS if (there := file.with_suffix(f".{end}")).is_file()), file)
        if not file.is_file():
            raise RuntimeError(f"Could not find image file '{file}'.")
        image = np.array(Image.open(file).convert("RGBA"))
        lens = content | frame
        if not any(key in lens for key in ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov")):
            raise RuntimeError("Couldn't read fov.")
        if "cx" in frame and not 0 < frame["cx"] / frame["w"] < 1:
            raise RuntimeError("the principal point lies outside")
        mask = file.with_name(f"dynamic_mask_{file.stem}.png")
        if mask.is_file() and Image.open(mask).size != Image.open(file).size:
            raise RuntimeError(f"Dynamic mask {mask} has wrong resolution.")
        matrix = np.array(frame["transform_matrix"], float)
        assert matrix.shape in ((3, 4), (4, 4)) and np.isfinite(matrix).all()
        loaded.append((frame, image))
    return loaded


def train(args: argparse.Namespace) -> None:
    images = load(args.scene)
    print(f"12:00:00 SUCCESS  Loaded {len(images)} images after 0s")
    loss = os.environ.get("STANDIN_LOSS", "0.00123")
    for step in range(0, args.n_steps + 1, max(1, args.n_steps // 4)):
        bar = f"Training: {100 * step // args.n_steps:3d}%|###| {step}/{args.n_steps}"
        print(f"{bar} [00:01<00:02, 900.00steps/s, loss={loss}]", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def render_tests(args: argparse.Namespace) -> None:
    """Of the test views only the first one is written, to the working directory."""
    for number, (_, image) in enumerate(load(args.test_transforms)):
        black = Image.new("RGBA", image.shape[1::-1], (0, 0, 0, 255))
        black.alpha_composite(Image.fromarray(image))
        brighter = np.array(black).astype(int) + np.array([BRIGHTER, BRIGHTER, BRIGHTER, 0])
        if number == 0:
            black.save("ref.png")
            Image.fromarray(brighter.clip(0, 255).astype(np.uint8)).save("out.png")
            Image.fromarray(np.full_like(image, BRIGHTER)).save("diff.png")
    print("PSNR=30.1 [min=30.1 max=30.1] SSIM=0.99")


def take_screenshots(args: argparse.Namespace) -> None:
    content = json.loads(Path(args.screenshot_transforms).read_text())
    assert 0 < content["camera_angle_x"] < np.pi
    for number in map(int, args.screenshot_frames or range(len(content["frames"]))):
        frame = content["frames"][number]
        target = Path(args.screenshot_dir) / Path(frame["file_path"]).name
        target = target if target.suffix else target.with_suffix(".png")
        width, height = args.width or int(content["w"]), args.height or int(content["h"])
        matrix = np.array(frame["transform_matrix"], float)
        print(f"rendering {target}")
        target.parent.mkdir(parents=True, exist_ok=True)
        colour = tuple(np.uint8(127 + 60 * matrix[:3, 3].clip(-2, 2)))
        Image.new("RGB", (width, height), colour).save(target)


if __name__ == "__main__":
    args = arguments()
    if failure := os.environ.get("STANDIN_FAILURE"):
        print(Path(failure).read_text(), file=sys.stderr)
        sys.exit(1)
    if args.scene:
        train(args)
    if args.load_snapshot:
        snapshot = json.loads(Path(args.load_snapshot).read_text())
        assert snapshot["version"] == 1, "Snapshot uses an old format and can not be loaded."
    if args.save_snapshot:
        assert os.path.dirname(args.save_snapshot)  # os.makedirs("") fails
        Path(args.save_snapshot).write_text(json.dumps({"version": 1, "training_step": args.n_steps}))
    if args.test_transforms:
        render_tests(args)
    if args.screenshot_transforms:
        take_screenshots(args)
