"""The state of a radiance field's training, and one training step."""

import logging
import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.config.reconstruction import Radiance
from triptych.radiance.backend import (
    choose_radiance_device,
    compiled_operation,
    make_density,
    make_tracer,
    precision_used,
)
from triptych.radiance.camera_optimizer import CameraOptimizer
from triptych.radiance.composite import over
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.frustum_culling import cameras_missing_box
from triptych.radiance.loss import background_colours, radiance_loss
from triptych.radiance.metrics import psnr
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.optimizer import AVERAGE_EVERY, field_optimizers, learning_rate_at, moving_average
from triptych.radiance.ray_sampler import RaySampler
from triptych.radiance.render import RadianceField, render_rays
from triptych.radiance.step_schedule import MAX_STEP_SCALE, StepSchedule, step_scale_for
from triptych.radiance.tiny_cuda import modules_for
from triptych.radiance.trace import Rays
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

log = logging.getLogger("triptych")

OCCUPANCY_EVERY = 16  # steps
OCCUPANCY_TURNS = 4  # updates that cover all cells
STEP_SCALE_HALVING = 0.1  # of the budget: long early steps become half as long
HELDOUT_PIXELS = 2**12
INITIAL_RAYS = 256
MIN_LOSS_SCALE = 2.0**-10


@dataclass(frozen=True)
class Batch:
    """The loss of a batch of rays, with its graph, and figures of the batch.

    Attributes:
        loss: a scalar.
        squared_error: mean over rays and channels.
        marched, used: samples, see `trace.Traced`.
    """

    loss: Tensor
    squared_error: float
    marched: int
    used: int


def next_ray_count(rays: int, batch: Batch, target: int) -> int:
    """Rays of the next step, so that about `target` samples get gradients.

    Marched samples are limited to twice as many. The number changes at most twofold, and is a multiple
    of 64 from 64 to 65536.
    """
    load = max(batch.used / target, batch.marched / (2 * target), 1e-9)
    wanted = rays * min(2.0, max(0.5, 1 / load))
    return int(min(65536, max(64, wanted // 64 * 64)))


class Trainer:
    """The state of a training, from the first step to the last.

    All random numbers follow from (seed, step), so a training that continues from a saved state
    has exactly the result of an uninterrupted one.

    Raises:
        TriptychError: too few images are left for training, or no camera sees the scene's box.
    """

    def __init__(self, scene: Scene, recipe: Radiance) -> None:
        self.recipe = recipe
        self.device = device = choose_radiance_device(recipe.device)
        training, heldout = scene.split(recipe.holdout)
        if len(training) < 2:
            raise TriptychError(
                f"holdout: {recipe.holdout} leaves {len(training)} of {len(scene.names)} images for "
                "training; at least 2 are needed, so add images or hold fewer out"
            )
        cameras = scene.cameras.to(device)
        self.cameras = cameras.select(training)
        self.sampler = RaySampler.of_scene(scene, training, device)
        # of the held-out images only the pixels that are evaluated during training stay in memory
        self.heldout_cameras = cameras.select(heldout)
        self.heldout = RaySampler.of_scene(scene, heldout, device).sample(
            HELDOUT_PIXELS, torch_generator(device, recipe.seed, "heldout")
        )
        self.occupancy = OccupancyGrid(
            aabb_scale=scene.aabb_scale, resolution=recipe.occupancy_resolution, device=device
        )
        self.occupancy.cull_unseen_cells(self.cameras, near=recipe.near)
        if missing := cameras_missing_box(self.cameras, aabb_scale=scene.aabb_scale):
            log.warning(
                "radiance: %d of %d training cameras see nothing of the scene's box (first: %s), so nothing "
                "is learnt from them; raise aabb_scale, or give transforms.json a smaller scale",
                len(missing),
                len(training),
                scene.names[training[missing[0]]],
            )
        shape = FieldShape(
            aabb_scale=scene.aabb_scale,
            levels=recipe.levels,
            features=recipe.features,
            log2_table=recipe.log2_table,
            base_resolution=recipe.base_resolution,
            finest_resolution=recipe.finest_resolution,
            images=len(training) if recipe.appearance else 0,
            appearance=recipe.appearance,
            modules=modules_for(device, precision=recipe.precision, features=recipe.features),
        )
        self.field = Field(shape, generator=torch_generator("cpu", recipe.seed, "field")).to(device)
        self.average = moving_average(self.field, recipe.ema)
        self.camera_optimizer = CameraOptimizer(
            len(training), poses=recipe.refine_poses, exposure=recipe.refine_exposure
        ).to(device)
        self.optimizers = field_optimizers(
            self.field,
            weight_decay=recipe.weight_decay,
            compiled=compiled_operation("radiance_adam", self.field),
        )
        if (camera_adam := self.camera_optimizer.optimizer()) is not None:
            self.optimizers.append(camera_adam)
        # gradients of single samples must stay within float16's range
        scales = precision_used(self.field, recipe.precision) == "float16"
        self.scaler = torch.amp.GradScaler(device.type, init_scale=1024.0, enabled=scales)
        self.tracer = make_tracer(self.field, recipe.precision, compiled=recipe.compile)
        self.density = make_density(self.field, recipe.precision)
        self.final_step_scale = step_scale_for(cameras.focal)
        self.step = 0
        self.seconds = 0.0
        self.rays = INITIAL_RAYS
        self.sums = dict.fromkeys(("loss", "squared_error", "rays", "marched", "samples"), 0.0)

    def _modules(self) -> dict[str, Any]:
        """Everything that has a state dict of its own."""
        optimizers = {f"optimizer_{number}": value for number, value in enumerate(self.optimizers)}
        return {
            "field": self.field,
            "average": self.average,
            "camera_optimizer": self.camera_optimizer,
            "scaler": self.scaler,
            **optimizers,
        }

    def state(self) -> dict[str, Any]:
        """Everything that changes, for a checkpoint."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "rays": self.rays,
            "sums": self.sums,
            "density_ema": self.occupancy.density_ema,
            "occupied": self.occupancy.occupied,
            **{name: module.state_dict() for name, module in self._modules().items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.step, self.seconds, self.rays = state["step"], state["seconds"], state["rays"]
        self.sums = state["sums"]
        self.occupancy.density_ema = state["density_ema"].to(self.device)
        self.occupancy.set_occupied(state["occupied"].to(self.device))
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
        """Length of steps along rays: long at first, while the field is still blurred."""
        return max(self.final_step_scale, MAX_STEP_SCALE * 0.5 ** (self.progress() / STEP_SCALE_HALVING))

    def loss(self, rays: int, *, step_scale: float, generator: torch.Generator) -> Batch:
        """Draw pixels, trace their rays, and compare the colours with the photographs'."""
        recipe = self.recipe
        image, centres, values = self.sampler.sample(rays, generator)
        background = background_colours(recipe.background, rays, generator)
        jitter = torch.rand(rays, generator=generator, device=self.device)
        origins, directions = self.camera_optimizer.rays(self.cameras, image, centres)
        features = self.field.ray_features(directions, image)
        schedule = StepSchedule.for_scene(self.field.shape.aabb_scale, step_scale=step_scale)
        traced = self.tracer(
            self.field, self.occupancy, Rays(origins, directions, features, jitter, recipe.near, schedule)
        )
        # the photograph was exposed, the background behind it was not
        colour = self.camera_optimizer.expose(traced.rendered.colour, image)
        predicted = replace(traced.rendered, colour=colour).over(background)
        target = over(values, background)
        loss = radiance_loss(predicted, target, traced.distortion, distortion_weight=recipe.distortion)
        squared_error = float(functional.mse_loss(predicted.detach(), target))
        return Batch(loss, squared_error, traced.marched, traced.used)

    def advance(self) -> None:
        """Do one training step and count its time.

        Raises:
            TriptychError: the loss is not finite, or the gradients always overflow float16.
        """
        began = time.monotonic()
        seed, step = self.recipe.seed, self.step
        if step % OCCUPANCY_EVERY == 0 and step > 0:
            with torch.no_grad():
                self.occupancy.update(
                    self.density,
                    torch_generator(self.device, seed, step, "occupancy"),
                    turn=step // OCCUPANCY_EVERY,
                    turns=1 if step == OCCUPANCY_EVERY else OCCUPANCY_TURNS,  # the first covers all cells
                )
        batch = self.loss(
            self.rays,
            step_scale=self.step_scale(),
            generator=torch_generator(self.device, seed, step, "rays"),
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
            self.average.update_parameters(self.field)
        counted = (loss, batch.squared_error, self.rays, batch.marched, batch.used)
        for name, value in zip(self.sums, counted, strict=True):
            self.sums[name] += value
        self.rays = next_ray_count(self.rays, batch, self.recipe.samples_per_step)
        self.step += 1
        self.seconds += time.monotonic() - began

    def apply_gradients(self) -> None:
        """Step all optimizers, or, where gradients overflowed float16, only lower the loss scale."""
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
        generator = torch_generator(self.device, self.recipe.seed, "warm-up")
        self.loss(64, step_scale=MAX_STEP_SCALE, generator=generator).loss.backward()
        for parameter in self.field.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        self.optimizers[0].step()  # rows without gradients stay as they are
        for module in (self.field, self.camera_optimizer):
            module.zero_grad()
        self.density(torch.full((8, 3), 0.5, device=self.device))

    def row(self, steps: int) -> dict[str, float]:
        """Means over the last `steps` steps, as a row of the history; starts new ones."""
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
            "occupied": self.occupancy.fraction(),
        }

    def averaged_field(self) -> RadianceField:
        """The moving average as it is now, ready to render over the recipe's background.

        `random` backgrounds are for training only; then it is white if images have alpha, as NeRF's
        synthetic scenes are published, else black.
        """
        background = self.recipe.background
        if background == "random":
            background = "white" if self.sampler.has_alpha else "black"
        average: nn.Module = self.average.module
        assert isinstance(average, Field)
        return RadianceField(
            field=average,
            occupancy=self.occupancy,
            near=self.recipe.near,
            background=torch.full((3,), 1.0 if background == "white" else 0.0, device=self.device),
            step_scale=self.final_step_scale,
            precision=self.recipe.precision,
        )

    def heldout_psnr(self) -> float:
        """PSNR over a fixed random sample of the held-out views' pixels."""
        image, centres, values = self.heldout
        radiance = self.averaged_field()
        rendered = render_rays(radiance, *self.heldout_cameras.rays(image, centres))
        error = rendered.over(radiance.background).clamp(0, 1) - over(values, radiance.background)
        return psnr(float(error.square().mean()))
