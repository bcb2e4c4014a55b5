"""Training a radiance field on a scene, within a budget of steps or minutes, resumable."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.radiance.recipe import Recipe
from triptych.radiance.render import RadianceField
from triptych.radiance.trainer import Training
from triptych.scenes.scene import Scene
from triptych.training.allocator import keep_large_allocations
from triptych.training.checkpoint import Checkpoints
from triptych.training.history import History
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress


@dataclass(frozen=True)
class Trained:
    """A finished training: the scene, ready to render, its final numbers, and what was corrected.

    Attributes:
        scene: the averaged field.
        numbers: of the last step.
        corrections: by name, a list of three numbers for each training image; see `Corrections`.
    """

    scene: RadianceField
    numbers: dict[str, Any]
    corrections: dict[str, list[list[float]]]


def train(scene: Scene, recipe: Recipe, *, checkpoints: Checkpoints, events: Path, history: Path) -> Trained:
    """Train a field on the scene's training images until the budget is used up.

    Args:
        scene: the images and their cameras.
        recipe: how to train.
        checkpoints: where to save and resume; the caller removes them once outputs are written.
        events: folder for TensorBoard.
        history: the `history.csv` to write.

    Raises:
        TriptychError: the recipe has no budget, or the images cannot be used.
    """
    if recipe.steps is None and recipe.minutes is None:
        raise TriptychError("radiance: neither steps nor minutes is set; give at least one of them")
    training = Training(scene, recipe)
    if training.device.type == "cpu":
        keep_large_allocations()
    training.warm_up()
    saved = checkpoints.load()
    if saved is not None:
        training.load_state(saved["training"])
    curves = History(events, key="step", rows=saved["rows"] if saved else ())
    with Progress(1000, "radiance", unit="‰", start=round(1000 * training.progress())) as progress:
        while training.progress() < 1:
            training.advance()
            done = training.progress() >= 1
            if training.step % recipe.log_every and not done:
                continue
            row = training.row(training.step % recipe.log_every or recipe.log_every)
            if done or _evaluation_due(recipe, curves.rows, training.progress()):
                row["heldout_psnr"] = training.heldout_psnr()
            curves.add(row)
            progress.update(
                round(1000 * training.progress()) - progress.count,
                step=training.step,
                psnr=row["train_psnr"],
            )
            if checkpoints.due() and not done:
                checkpoints.save(training.step, {"training": training.state(), "rows": curves.rows})
    curves.close(history)
    corrections = {name: value.tolist() for name, value in training.problem.corrections.state_dict().items()}
    return Trained(training.scene(), _numbers(training, curves.rows), corrections)


def _evaluation_due(recipe: Recipe, rows: list[dict[str, float]], progress: float) -> bool:
    """Whether progress has passed another of the evenly spaced evaluations."""
    made = sum("heldout_psnr" in row for row in rows)
    return recipe.evaluations > 0 and progress * recipe.evaluations >= made + 1


def _numbers(training: Training, rows: list[dict[str, float]]) -> dict[str, Any]:
    last = rows[-1]
    return {
        "steps": training.step,
        "training_seconds": round(training.seconds, 2),
        "milliseconds_per_step": round(1000 * training.seconds / training.step, 2),
        "train_psnr": last["train_psnr"],
        "heldout_psnr": last["heldout_psnr"],
        "train_loss": last["train_loss"],
        "rays_per_step": last["rays_per_step"],
        "samples_per_step": last["samples_per_step"],
        "occupied": last["occupied"],
        "parameters": sum(parameter.numel() for parameter in training.field.parameters()),
    }
