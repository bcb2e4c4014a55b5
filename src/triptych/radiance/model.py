"""What is trained, a radiance field and corrections of its cameras, and the loss of a batch of rays."""

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from triptych.config.reconstruction import Radiance
from triptych.radiance.backend import choose_radiance_device, make_density, make_tracer
from triptych.radiance.box_check import TrainingRays, check_box
from triptych.radiance.camera_optimizer import CameraOptimizer
from triptych.radiance.composite import over
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.frustum_culling import cameras_missing_box
from triptych.radiance.loss import background_colours, radiance_loss
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.ray_sampler import RaySampler
from triptych.radiance.step_schedule import StepSchedule
from triptych.radiance.trace import Rays
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class RayBatch:
    """The loss of a batch of rays, with its graph, and figures of the batch."""

    loss: Tensor  # a scalar
    squared_error: float  # mean over rays and channels
    marched: int  # numbers of samples, see `trace.Traced`
    used: int  # numbers of samples, see `trace.Traced`


class RadianceModel:
    """A field that learns from a scene's training images.

    Raises `TriptychError` if too few images are left for training, or no camera sees the scene's box.
    """

    def __init__(self, scene: Scene, recipe: Radiance) -> None:
        self.recipe = recipe
        self.device = device = choose_radiance_device(recipe.device)
        training, _ = scene.split(recipe.holdout)
        if len(training) < 2:
            raise TriptychError(
                f"holdout: {recipe.holdout} leaves {len(training)} of {len(scene.names)} images for "
                "training; at least 2 are needed, so add images or hold fewer out"
            )
        self.cameras = scene.cameras.to(device).select(training)
        self.sampler = RaySampler.of_scene(scene, training, device)
        self.occupancy = OccupancyGrid(
            aabb_scale=scene.aabb_scale, resolution=recipe.occupancy_resolution, device=device
        )
        rays = TrainingRays(
            *(self.cameras, self.sampler),
            near=recipe.near,
            generator=torch_generator(device, recipe.seed, "box"),
        )
        self.rays_in_box = check_box(scene, rays)
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
        )
        self.field = Field(shape, generator=torch_generator("cpu", recipe.seed, "field")).to(device)
        self.camera_optimizer = CameraOptimizer(
            len(training), poses=recipe.refine_poses, exposure=recipe.refine_exposure
        ).to(device)
        self.tracer = make_tracer(self.field, recipe.precision, compiled=recipe.compile)
        self.density = make_density(self.field, recipe.precision)

    def loss(self, num_rays: int, *, step_scale: float, generator: torch.Generator) -> RayBatch:
        """Draw pixels, backgrounds and jitter, trace the rays, and compare with the photographs."""
        recipe = self.recipe
        image, centres, values = self.sampler.sample(num_rays, generator)
        background = background_colours(recipe.background, num_rays, generator)
        jitter = torch.rand(num_rays, generator=generator, device=self.device)
        origins, directions = self.camera_optimizer.rays(self.cameras, image, centres)
        features = self.field.ray_features(directions, image)
        schedule = StepSchedule.for_scene(self.field.shape.aabb_scale, step_scale=step_scale)
        traced = self.tracer(
            self.field, self.occupancy, Rays(origins, directions, features, jitter, recipe.near, schedule)
        )
        # exposure scales the photographed scene, not the background added here
        colour = self.camera_optimizer.expose(traced.rendered.colour, image)
        predicted = replace(traced.rendered, colour=colour).over(background)
        target = over(values, background)
        loss = radiance_loss(predicted, target, traced.distortion, distortion_weight=recipe.distortion)
        squared_error = float(functional.mse_loss(predicted.detach(), target))
        return RayBatch(loss, squared_error, traced.marched, traced.used)
