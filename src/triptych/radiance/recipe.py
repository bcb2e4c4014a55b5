"""The knobs of one training of a radiance field; their defaults and ranges are the config schema's."""

from dataclasses import dataclass

from triptych.radiance.field import FieldShape


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training, exactly.

    Attributes:
        seed: decides initial values, rays, jitter, backgrounds and occupancy samples.
        device: `auto`, `cpu`, `cuda`, …
        precision: of the networks: `auto`, `bfloat16`, `float16`, `float32`.
        compile: whether torch.compile fuses the field's operations, where there are no kernels.
        downscale: whole number by which the images' sides are divided.
        holdout: every holdout-th image is kept from training.
        steps: optimiser steps, or None for no limit.
        minutes: time budget, or None for no limit; how many steps fit into it depends on the
            machine, so such a run is not reproducible to the bit. The first limit reached counts.
        samples_per_step: samples that reach the backward pass; the number of rays adapts to it.
        levels, features, log2_table, base_resolution, finest_resolution: the hash grid.
        occupancy_resolution: cells a side of each cascade of the occupancy grid.
        near: distance from a camera, in unit cubes, before which there is nothing.
        background: what is behind the scene, in training and in pictures: `black`, `white`, or `random`,
            which is only for training; see `shown_background`.
        refine_poses, refine_exposure: whether camera poses and the images' exposures are corrected.
        appearance: numbers that describe the look of each image to the colour network, 0 for none.
        distortion: weight of a loss that punishes floaters, see `composite.distortion`; 0 for none.
        learning_rate: Adam's, held for the first part of the budget.
        final_learning_rate: reached by exponential decay at the end of the budget.
        weight_decay: l2 penalty on the networks.
        ema: decay of the moving average of all parameters, which is what is saved.
        log_every: steps between two rows of the history.
        evaluations: how often, over the budget, held-out pixels are rendered.
    """

    seed: int
    device: str
    precision: str
    compile: bool
    downscale: int
    holdout: int
    steps: int | None
    minutes: float | None
    samples_per_step: int
    levels: int
    features: int
    log2_table: int
    base_resolution: int
    finest_resolution: int
    occupancy_resolution: int
    near: float
    background: str
    refine_poses: bool
    refine_exposure: bool
    appearance: int
    distortion: float
    learning_rate: float
    final_learning_rate: float
    weight_decay: float
    ema: float
    log_every: int
    evaluations: int

    def shape(self, aabb_scale: int, images: int) -> FieldShape:
        """The field this recipe asks for, in a scene's box and for so many training images."""
        return FieldShape(
            aabb_scale=aabb_scale,
            levels=self.levels,
            features=self.features,
            log2_table=self.log2_table,
            base_resolution=self.base_resolution,
            finest_resolution=self.finest_resolution,
            images=images if self.appearance else 0,
            appearance=self.appearance,
        )

    def shown_background(self, *, has_alpha: bool) -> str:
        """What pictures are rendered and measured over: `white` or `black`.

        It is the recipe's own. `random` ones in training leave the choice free: white if images have
        alpha, as the synthetic scenes of NeRF are published, else black.
        """
        if self.background != "random":
            return self.background
        return "white" if has_alpha else "black"

    def progress(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up, in [0, 1]."""
        shares = [step / self.steps] if self.steps is not None else []
        if self.minutes is not None:
            shares.append(seconds / (60 * self.minutes))
        return min(1.0, max(shares, default=1.0))
