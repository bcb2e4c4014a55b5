"""Pictures, settings and synthetic models for tests of structure from motion."""

import numpy as np
import pycolmap
from PIL import Image
from scipy.ndimage import gaussian_filter

MATCHING = {
    "matcher": "exhaustive",
    "overlap": 4,
    "max_image_size": 1200,
    "max_features": 2000,
    "first_octave": 0,
    "seed": 0,
}


SETTINGS = MATCHING | {"mapper": "incremental"}


def noise(seed, width=480, height=360):
    """A picture with much detail, (height, width) in 0..255."""
    values = gaussian_filter(np.random.default_rng(seed).random((height, width)), 1.2)
    return 255 * (values - values.min()) / np.ptp(values)


def save(folder, number, pixels):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB").save(folder / f"{number:02d}.png")


def synthetic(path, frames=20, **options):
    """A database and the true model of cameras around a cloud of points."""
    chosen = pycolmap.SyntheticDatasetOptions()
    chosen.num_rigs, chosen.num_frames_per_rig, chosen.num_points3D = 1, frames, 300
    chosen.camera_model_id = pycolmap.CameraModelId.OPENCV
    chosen.camera_width, chosen.camera_height = 800, 600
    chosen.camera_params = [700.0, 700.0, 400.0, 300.0, 0.02, 0.0, 0.0, 0.0]
    for name, value in options.items():
        setattr(chosen, name, value)
    pycolmap.set_random_seed(0)
    with pycolmap.Database.open(path) as database:
        return pycolmap.synthesize_dataset(chosen, database)
