"""The state of a radiance field's training, and one step of it."""

import logging
import math
import time
from dataclasses import replace
from typing import Any

import torch

from triptych.radiance.camera_optimizer import Corrections
from triptych.radiance.composite import Rendered
from triptych.radiance.density import density_of
from triptych.radiance.device import choose_radiance_device
from triptych.radiance.field import Field
from triptych.radiance.frustum_culling import blind_cameras
from triptych.radiance.loss_scale import LossScale
from triptych.radiance.metrics import psnr
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.optimizer import MovingAverage, Optimizer, learning_rate_at
from triptych.radiance.ray_sampler import Pixels, over
from triptych.radiance.recipe import Recipe
from triptych.radiance.render import RadianceField, render_rays
from triptych.radiance.step import Problem, loss_of_rays, next_ray_count
from triptych.radiance.step_schedule import MAX_COARSENESS, Stepping, coarseness_for
from triptych.radiance.tiny_cuda import modules_for
from triptych.radiance.trace import make_tracer, precision_used
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

log = logging.getLogger("triptych")

OCCUPANCY_EVERY = 16
OCCUPANCY_TURNS = 4  # updates in which all cells are looked at
COARSE_SHARE = 0.1  # of the budget, after which early, coarse steps along rays are half as long
HELDOUT_PIXELS = 2**12


class Training:
    """The state of a training, from the first step to the last.

    Everything random is drawn from (seed, step), so a state that was saved and loaded goes on
    exactly as if it had never stopped.
    """

    def __init__(self, scene: Scene, recipe: Recipe) -> None:
        self.recipe = recipe
        self.device = device = choose_radiance_device(recipe.device)
        training, heldout = scene.split(recipe.holdout)
        if len(training) < 2:
            raise TriptychError(
                f"holdout: {recipe.holdout} leaves {len(training)} of {len(scene.names)} images for "
                "training; at least 2 are needed, so add images or hold fewer out"
            )
        cameras = scene.cameras.to(device)
        self.pixels = Pixels.of_scene(scene, training, device)
        # of the held-out images only the pixels that are looked at while training stay in memory
        self.heldout_cameras = cameras.select(heldout)
        self.heldout = Pixels.of_scene(scene, heldout, device).draw(
            HELDOUT_PIXELS, torch_generator(device, recipe.seed, "heldout")
        )
        occupancy = OccupancyGrid(
            aabb_scale=scene.aabb_scale, resolution=recipe.occupancy_resolution, device=device
        )
        occupancy.keep_seen_by(cameras.select(training), near=recipe.near)
        if blind := blind_cameras(cameras.select(training), aabb_scale=scene.aabb_scale):
            log.warning(
                "radiance: %d of %d training cameras see nothing of the scene's box (first: %s), so nothing "
                "is learnt from them; raise aabb_scale, or give transforms.json a smaller scale",
                len(blind),
                len(training),
                scene.names[training[blind[0]]],
            )
        self.field = Field(
            replace(
                recipe.shape(scene.aabb_scale, len(training)),
                modules=modules_for(device, precision=recipe.precision, features=recipe.features),
            ),
            generator=torch_generator("cpu", recipe.seed, "field"),
        ).to(device)
        self.average = MovingAverage(self.field, recipe.ema)
        self.optimizer = Optimizer(self.field, weight_decay=recipe.weight_decay)
        corrections = Corrections(
            len(training), poses=recipe.refine_poses, exposure=recipe.refine_exposure
        ).to(device)
        self.corrector = corrections.optimizer()
        self.problem = Problem(
            pixels=self.pixels,
            cameras=cameras.select(training),
            corrections=corrections,
            occupancy=occupancy,
            tracer=make_tracer(self.field, recipe.precision, compiled=recipe.compile),
            near=recipe.near,
            background=recipe.background,
            distortion=recipe.distortion,
        )
        self.final_coarseness = coarseness_for(cameras.focal)
        self.density = density_of(self.field, recipe.precision)
        self.loss_scale = LossScale(precision_used(self.field, recipe.precision))
        self.step = 0
        self.seconds = 0.0
        self.rays = 256
        self.sums = dict.fromkeys(("loss", "squared_error", "rays", "marched", "samples"), 0.0)

    def state(self) -> dict[str, Any]:
        """Everything that changes, for a checkpoint."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "rays": self.rays,
            "sums": self.sums,
            "field": self.field.state_dict(),
            "average": self.average.field.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss_scale": self.loss_scale.state_dict(),
            "corrections": self.problem.corrections.state_dict(),
            "corrector": self.corrector.state_dict() if self.corrector else None,
            "thickness": self.problem.occupancy.thickness,
            "occupied": self.problem.occupancy.occupied,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.step, self.seconds, self.rays = state["step"], state["seconds"], state["rays"]
        self.sums = state["sums"]
        self.field.load_state_dict(state["field"])
        self.average.field.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss_scale.load_state_dict(state["loss_scale"])
        self.problem.corrections.load_state_dict(state["corrections"])
        if self.corrector:
            self.corrector.load_state_dict(state["corrector"])
        self.problem.occupancy.thickness = state["thickness"].to(self.device)
        self.problem.occupancy.set_occupied(state["occupied"].to(self.device))

    def progress(self) -> float:
        """Share of the budget used up."""
        return self.recipe.progress(self.step, self.seconds)

    def learning_rate(self) -> float:
        """The learning rate at this point of the budget."""
        return learning_rate_at(
            self.progress(), initial=self.recipe.learning_rate, final=self.recipe.final_learning_rate
        )

    def coarseness(self) -> float:
        """Length of steps along rays: long at first, while there is only fog to see."""
        return max(self.final_coarseness, MAX_COARSENESS * 0.5 ** (self.progress() / COARSE_SHARE))

    def advance(self) -> None:
        """Do one step and count its time."""
        began = time.monotonic()
        recipe, occupancy = self.recipe, self.problem.occupancy
        if self.step % OCCUPANCY_EVERY == 0 and self.step > 0:
            with torch.no_grad():
                occupancy.update(
                    self.density,
                    torch_generator(self.device, recipe.seed, self.step, "occupancy"),
                    turn=self.step // OCCUPANCY_EVERY,
                    # nothing is known before the first look
                    turns=1 if self.step == OCCUPANCY_EVERY else OCCUPANCY_TURNS,
                )
        outcome = loss_of_rays(
            self.field,
            self.problem,
            rays=self.rays,
            stepping=Stepping.for_scene(self.field.shape.aabb_scale, coarseness=self.coarseness()),
            generator=torch_generator(self.device, recipe.seed, self.step, "rays"),
        )
        loss = float(outcome.loss.detach())
        if not math.isfinite(loss):
            raise TriptychError(
                f"radiance: the loss is {loss} in step {self.step}, at learning rate "
                f"{self.learning_rate():g}; lower learning_rate, or use precision float32"
            )
        (outcome.loss * self.loss_scale.factor).backward()
        if self.loss_scale.unscale((*self.field.parameters(), *self.problem.corrections.parameters())):
            self._follow_gradients()
        self.average.update(self.step)
        counted = (
            loss,
            outcome.squared_error,
            self.rays,
            outcome.marched,
            outcome.used,
        )
        for name, value in zip(self.sums, counted, strict=True):
            self.sums[name] += value
        self.rays = next_ray_count(self.rays, outcome, recipe.samples_per_step)
        self.step += 1
        self.seconds += time.monotonic() - began

    def _follow_gradients(self) -> None:
        """Let the optimisers take their step."""
        self.optimizer.step(self.learning_rate())
        if self.corrector:
            for group in self.corrector.param_groups:
                group["lr"] = group["share"] * self.learning_rate()
            self.corrector.step()
            self.corrector.zero_grad()

    def warm_up(self) -> None:
        """Do what a step does, without effect: kernels that are new to this machine are compiled now."""
        outcome = loss_of_rays(
            self.field,
            self.problem,
            rays=64,
            stepping=Stepping.for_scene(self.field.shape.aabb_scale, coarseness=MAX_COARSENESS),
            generator=torch_generator(self.device, self.recipe.seed, "warm-up"),
        )
        outcome.loss.backward()
        for parameter in self.field.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        self.optimizer.tables.step(0.0)  # rows without gradients stay as they are
        for parameter in (*self.field.parameters(), *self.problem.corrections.parameters()):
            parameter.grad = None
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
            "occupied": self.problem.occupancy.fraction(),
        }

    def scene(self) -> RadianceField:
        """The averaged field as it is now, ready to render over what `Recipe.shown_background` says."""
        shown = self.recipe.shown_background(has_alpha=self.pixels.has_alpha)
        return RadianceField(
            field=self.average.field,
            occupancy=self.problem.occupancy,
            near=self.recipe.near,
            background=torch.full((3,), 1.0 if shown == "white" else 0.0, device=self.device),
            coarseness=self.final_coarseness,
            precision=self.recipe.precision,
        )

    def heldout_psnr(self) -> float:
        """PSNR over a fixed random sample of the held-out views' pixels."""
        image, centres, values = self.heldout
        origins, directions = self.heldout_cameras.rays(image, centres)
        scene = self.scene()
        rendered: Rendered = render_rays(scene, origins, directions)
        error = rendered.over(scene.background).clamp(0, 1) - over(values, scene.background)
        return psnr(float(error.square().mean()))
