"""Training a radiance field on a scene, within a budget of steps or minutes, resumable."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.config.reconstruction import Radiance
from triptych.radiance.render import RadianceField
from triptych.radiance.trainer import Trainer
from triptych.scenes.scene import Scene
from triptych.training.checkpoint import Checkpoints, restoring
from triptych.training.history import History
from triptych.training.memory import keep_large_allocations
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

# Held-out views of scenes that stood still have about 3 dB less than training views.
LARGE_GAP = 6.0  # dB


@dataclass(frozen=True)
class TrainingResult:
    """A finished training."""

    radiance: RadianceField  # the averaged field, ready to render
    metrics: dict[str, Any]  # figures of the last step and of the whole training
    # by name, three numbers per training image; see `CameraOptimizer`
    corrections: dict[str, list[list[float]]]


def train(
    scene: Scene, recipe: Radiance, *, checkpoints: Checkpoints, events: Path, history: Path
) -> TrainingResult:
    """Train until the budget is used up; a `TriptychError` if there is none, or the images cannot be used."""
    if recipe.steps is None and recipe.minutes is None:
        raise TriptychError("radiance: neither steps nor minutes is set; give at least one of them")
    trainer = Trainer(scene, recipe)
    if trainer.model.device.type == "cpu":
        keep_large_allocations()
    trainer.warm_up()
    saved = checkpoints.load()
    with restoring(checkpoints):
        if saved is not None:
            trainer.load_state(saved["trainer"])
        curves = History(events, key="step", rows=saved["rows"] if saved else ())
    unit, total = ("step", recipe.steps) if recipe.steps else ("second", round(60 * (recipe.minutes or 0)))
    with Progress(total, "radiance", unit=unit, start=round(total * trainer.progress())) as progress:
        while trainer.progress() < 1:
            trainer.advance()
            done = trainer.progress() >= 1
            if trainer.step % recipe.log_every and not done:
                continue
            row = trainer.row(trainer.step % recipe.log_every or recipe.log_every)
            if done or _evaluation_due(recipe, curves.rows, trainer.progress()):
                row["heldout_psnr"] = trainer.heldout.psnr(trainer.averaged_field())
            curves.add(row)
            progress.update(
                round(total * trainer.progress()) - progress.count, step=trainer.step, psnr=row["train_psnr"]
            )
            if checkpoints.due() and not done:
                checkpoints.save(trainer.step, {"trainer": trainer.state(), "rows": curves.rows})
    curves.close(history)
    _warn_of_overfitting(curves.rows[-1])
    corrections = {
        name: value.tolist() for name, value in trainer.model.camera_optimizer.state_dict().items()
    }
    return TrainingResult(trainer.averaged_field(), _metrics(trainer, curves.rows[-1]), corrections)


def _evaluation_due(recipe: Radiance, rows: list[dict[str, float]], progress: float) -> bool:
    """Whether progress has passed another of the evenly spaced evaluations."""
    made = sum("heldout_psnr" in row for row in rows)
    return recipe.evaluations > 0 and progress * recipe.evaluations >= made + 1


def _warn_of_overfitting(last: dict[str, float]) -> None:
    """Warn if the field shows the training views far better than views that it has not seen."""
    if last["train_psnr"] - last["heldout_psnr"] > LARGE_GAP:
        log.warning(
            "radiance: held-out views have %.1f dB, training views %.1f dB, so the field is fog that looks "
            "right only from the training cameras. Did the object turn before a still background? Then give "
            "masks of the object, with masked: empty. Did the light or the exposure change? Then set "
            "appearance: 8. Otherwise, take more images, nearer to each other, and check the camera poses",
            last["heldout_psnr"],
            last["train_psnr"],
        )


def _metrics(trainer: Trainer, last: dict[str, float]) -> dict[str, Any]:
    names = ("train_psnr", "heldout_psnr", "train_loss", "rays_per_step", "samples_per_step", "occupied")
    return {
        "steps": trainer.step,
        "training_seconds": round(trainer.seconds, 2),
        "milliseconds_per_step": round(1000 * trainer.seconds / trainer.step, 2),
        **{name: last[name] for name in names},
        "rays_in_box": round(trainer.model.rays_in_box, 4),
        "parameters": sum(parameter.numel() for parameter in trainer.model.field.parameters()),
    }
