"""Train nerfstudio's nerfacto on a prepared scene, and render its held-out views.

Its method's own configuration, with these changes:
- `device_type` cpu, `implementation` torch: what it offers without a GPU;
- RAYS a step, not 4096, of which ten minutes on a few cores are some hundred steps: in the same time,
  more and smaller steps get further (fox, a minute on one core: 14.6 dB with 128 rays, 12.1 with 512);
- camera optimiser off (SO3xR3): held-out views are rendered from the poses that are given, and
  training views that move away from theirs could only cost it;
- the data manager without a process of its own beside the training, since that needs the cores;
- no LPIPS, which only measures, and would download a network to do so.
"""

import time
from pathlib import Path

import torch
import torchmetrics.image.lpip
from contestant import arguments, contest, save_picture

RAYS = 256
RENDERED_AT_ONCE = 512  # rays
NEVER = 10**9  # more steps than there can be

torchmetrics.image.lpip.LearnedPerceptualImagePatchSimilarity = lambda **_: torch.nn.Identity()

# These need the line above: models build their metrics as they are built.
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig  # noqa: E402
from nerfstudio.configs.method_configs import method_configs  # noqa: E402
from nerfstudio.data.datamanagers.base_datamanager import VanillaDataManagerConfig  # noqa: E402
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig  # noqa: E402
from nerfstudio.engine.callbacks import TrainingCallbackLocation  # noqa: E402
from nerfstudio.engine.trainer import Trainer  # noqa: E402


def build(scene: Path, output: Path) -> Trainer:
    """Its trainer, set up on the scene with our split."""
    config = method_configs["nerfacto"]
    config.machine.device_type = "cpu"
    config.vis = "tensorboard"
    config.output_dir = output / "runs"
    config.set_experiment_name()
    config.set_timestamp()
    config.pipeline.datamanager = VanillaDataManagerConfig(
        dataparser=NerfstudioDataParserConfig(data=scene, downscale_factor=1),
        train_num_rays_per_batch=RAYS,
    )
    config.pipeline.model.implementation = "torch"
    config.pipeline.model.camera_optimizer = CameraOptimizerConfig(mode="off")
    config.pipeline.model.eval_num_rays_per_chunk = RENDERED_AT_ONCE
    config.optimizers.pop("camera_opt")
    torch.manual_seed(config.machine.seed)
    trainer = Trainer(config)
    trainer.setup(test_mode="test")
    return trainer


def train(trainer: Trainer, seconds: float) -> dict[str, float]:
    """Train for `seconds`: the trainer's own steps and callbacks, without its logs and evaluations."""
    before, after = (
        TrainingCallbackLocation.BEFORE_TRAIN_ITERATION,
        TrainingCallbackLocation.AFTER_TRAIN_ITERATION,
    )
    trainer.pipeline.train()
    began = time.monotonic()
    for step in range(NEVER):
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location=before)
        trainer.train_iteration(step)
        for callback in trainer.callbacks:
            callback.run_callback_at_location(step, location=after)
        if time.monotonic() - began >= seconds:
            break
    return {"steps": step + 1, "seconds": time.monotonic() - began, "rays_per_step": RAYS}


def render(trainer: Trainer, output: Path) -> None:
    """Render all held-out views."""
    trainer.pipeline.eval()
    dataset = trainer.pipeline.datamanager.eval_dataset
    for position, file in enumerate(dataset.image_filenames):
        camera = dataset.cameras[position : position + 1]
        picture = trainer.pipeline.model.get_outputs_for_camera(camera)
        save_picture(output, file.stem, picture["rgb"].numpy())


def main() -> None:
    """Train and render."""
    scene, output, seconds = arguments()
    trainer = build(scene, output)
    contest(output, lambda: train(trainer, seconds), lambda: render(trainer, output))


if __name__ == "__main__":
    main()
