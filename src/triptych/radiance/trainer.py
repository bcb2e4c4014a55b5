"""The state of a radiance field's training, and one training step."""

import math
import time
from typing import Any

import torch
from torch import nn

from triptych.config.reconstruction import Radiance
from triptych.radiance.backend import compiled_operation, precision_used
from triptych.radiance.evaluate import HeldoutPixels
from triptych.radiance.field import Field
from triptych.radiance.metrics import psnr
from triptych.radiance.model import RadianceModel, RayBatch
from triptych.radiance.optimizer import AVERAGE_EVERY, field_optimizers, learning_rate_at, moving_average
from triptych.radiance.render import RadianceField
from triptych.radiance.step_schedule import MAX_STEP_SCALE, step_scale_for
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

OCCUPANCY_EVERY = 16  # training steps
OCCUPANCY_TURNS = 4  # updates that cover all cells
STEP_SCALE_HALVING = 0.1  # fraction of the budget in which the long early steps along rays halve
INITIAL_RAYS = 256
MIN_LOSS_SCALE = 2.0**-10


def next_ray_count(num_rays: int, batch: RayBatch, target: int) -> int:
    """Number of rays of the next step, so that about `target` samples get gradients.

    Marched samples are limited to twice as many. The number changes at most twofold, and is a multiple
    of 64 from 64 to 65536.
    """
    load = max(batch.used / target, batch.marched / (2 * target), 1e-9)
    wanted = num_rays * min(2.0, max(0.5, 1 / load))
    return int(min(65536, max(64, wanted // 64 * 64)))


class Trainer:
    """The state of a training, from the first step to the last.

    All random numbers follow from (seed, step), so a training that continues from a saved state has exactly
    the result of an uninterrupted one. Raises `TriptychError` as `RadianceModel` does.
    """

    def __init__(self, scene: Scene, recipe: Radiance) -> None:
        self.recipe = recipe
        self.model = model = RadianceModel(scene, recipe)
        self.heldout = HeldoutPixels(
            scene,
            scene.split(recipe.holdout)[1],
            generator=torch_generator(model.device, recipe.seed, "heldout"),
        )
        self.average = moving_average(model.field, recipe.ema)
        self.optimizers = field_optimizers(
            model.field,
            weight_decay=recipe.weight_decay,
            compiled=compiled_operation("radiance_adam", model.field),
        )
        if (camera_adam := model.camera_optimizer.optimizer()) is not None:
            self.optimizers.append(camera_adam)
        # gradients of single samples must stay within float16's range
        scales = precision_used(model.field, recipe.precision) == "float16"
        self.scaler = torch.amp.GradScaler(model.device.type, init_scale=1024.0, enabled=scales)
        self.final_step_scale = step_scale_for(model.cameras.focal)
        self.step = 0
        self.seconds = 0.0
        self.num_rays = INITIAL_RAYS
        self.sums = dict.fromkeys(("loss", "squared_error", "rays", "marched", "samples"), 0.0)

    def _modules(self) -> dict[str, Any]:
        """Everything that has a state dict of its own."""
        optimizers = {f"optimizer_{number}": value for number, value in enumerate(self.optimizers)}
        return {
            "field": self.model.field,
            "average": self.average,
            "camera_optimizer": self.model.camera_optimizer,
            "scaler": self.scaler,
            **optimizers,
        }

    def state(self) -> dict[str, Any]:
        """Everything that changes, for a checkpoint."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "rays": self.num_rays,
            "sums": self.sums,
            "density_ema": self.model.occupancy.density_ema,
            "occupied": self.model.occupancy.occupied,
            **{name: module.state_dict() for name, module in self._modules().items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.step, self.seconds, self.num_rays = state["step"], state["seconds"], state["rays"]
        self.sums = state["sums"]
        occupancy, device = self.model.occupancy, self.model.device
        occupancy.density_ema = state["density_ema"].to(device)
        occupancy.set_occupied(state["occupied"].to(device))
        for name, module in self._modules().items():
            module.load_state_dict(state[name])

    def progress(self) -> float:
        """Fraction of the budget used up, in [0, 1]: of its steps or of its minutes, whichever is larger."""
        recipe = self.recipe
        steps = 0.0 if recipe.steps is None else self.step / recipe.steps
        minutes = 0.0 if recipe.minutes is None else self.seconds / (60 * recipe.minutes)
        return min(1.0, max(steps, minutes))

    def learning_rate(self) -> float:
        """The learning rate at this point of the budget."""
        return learning_rate_at(
            self.progress(), initial=self.recipe.learning_rate, final=self.recipe.final_learning_rate
        )

    def step_scale(self) -> float:
        """Factor on the step lengths along rays: large at first, while the field is still blurred."""
        return max(self.final_step_scale, MAX_STEP_SCALE * 0.5 ** (self.progress() / STEP_SCALE_HALVING))

    def advance(self) -> None:
        """Do and time one step; a `TriptychError` if the loss or all gradients are not finite."""
        began = time.monotonic()
        seed, step, model = self.recipe.seed, self.step, self.model
        if step % OCCUPANCY_EVERY == 0 and step > 0:
            with torch.no_grad():
                model.occupancy.update(
                    model.density,
                    torch_generator(model.device, seed, step, "occupancy"),
                    turn=step // OCCUPANCY_EVERY,
                    turns=1 if step == OCCUPANCY_EVERY else OCCUPANCY_TURNS,  # the first covers all cells
                )
        batch = model.loss(
            self.num_rays,
            step_scale=self.step_scale(),
            generator=torch_generator(model.device, seed, step, "rays"),
        )
        loss = float(batch.loss.detach())
        if not math.isfinite(loss):
            raise TriptychError(
                f"radiance: the loss is {loss} in step {step}, at learning rate "
                f"{self.learning_rate():g}; lower learning_rate, or use precision float32"
            )
        self.scaler.scale(batch.loss).backward()
        self.apply_gradients()
        if step % AVERAGE_EVERY == 0:
            self.average.update_parameters(model.field)
        counted = (loss, batch.squared_error, self.num_rays, batch.marched, batch.used)
        for name, value in zip(self.sums, counted, strict=True):
            self.sums[name] += value
        self.num_rays = next_ray_count(self.num_rays, batch, self.recipe.samples_per_step)
        self.step += 1
        self.seconds += time.monotonic() - began

    def apply_gradients(self) -> None:
        """Step all optimizers; if float16 overflowed, only lower the loss scale, down to a limit."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["lr_scale"] * self.learning_rate()
            self.scaler.step(optimizer)
            optimizer.zero_grad()
        self.scaler.update()
        if self.scaler.get_scale() < MIN_LOSS_SCALE:
            raise TriptychError(
                "radiance: the gradients overflow float16 in every step; use precision bfloat16 or float32, "
                "or lower learning_rate"
            )

    def warm_up(self) -> None:
        """Do what a step does, without effect: kernels that are new to this machine are compiled now."""
        model = self.model
        generator = torch_generator(model.device, self.recipe.seed, "warm-up")
        model.loss(64, step_scale=MAX_STEP_SCALE, generator=generator).loss.backward()
        for parameter in model.field.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        self.optimizers[0].step()  # rows without gradients stay as they are
        for module in (model.field, model.camera_optimizer):
            module.zero_grad()
        model.density(torch.full((8, 3), 0.5, device=model.device))

    def row(self, steps: int) -> dict[str, float]:
        """Means over the last `steps` steps, as a row of the history; resets the sums."""
        mean = {name: value / steps for name, value in self.sums.items()}
        self.sums = dict.fromkeys(self.sums, 0.0)
        return {
            "step": self.step,
            "seconds": round(self.seconds, 3),
            "train_loss": mean["loss"],
            "train_psnr": psnr(mean["squared_error"]),
            "learning_rate": self.learning_rate(),
            "rays_per_step": mean["rays"],
            "marched_per_step": mean["marched"],
            "samples_per_step": mean["samples"],
            "occupied": self.model.occupancy.fraction(),
        }

    def averaged_field(self) -> RadianceField:
        """The moving average as it is now, ready to render over the recipe's background.

        `random` backgrounds are for training only; then it is white if images have alpha, as NeRF's
        synthetic scenes are published, else black.
        """
        background = self.recipe.background
        if background == "random":
            background = "white" if self.model.sampler.has_alpha else "black"
        average: nn.Module = self.average.module
        assert isinstance(average, Field)
        return RadianceField(
            field=average,
            occupancy=self.model.occupancy,
            near=self.recipe.near,
            background=torch.full((3,), 1.0 if background == "white" else 0.0, device=self.model.device),
            step_scale=self.final_step_scale,
            precision=self.recipe.precision,
        )
