"""Rays to colours with gradients on the CPU: `trace_rays` as one differentiable function."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.radiance import composite, encode, march, networks
from triptych.kernels.radiance.field import FieldKernels, ray_activations
from triptych.radiance.composite import RenderedRays
from triptych.radiance.field import Field
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.trace import GRADIENT_SCALE_DISTANCE, MIN_TRANSMITTANCE, Rays, Traced


def _tasks(count: int, size: int) -> int:
    return -(-count // size)


def _starts(counts: np.ndarray) -> np.ndarray:
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


class KernelTracer:
    """Traces rays through one float32 field on the CPU: one call at a time, each followed by its backward.

    The gradients of the hash tables are added to `table.grad` directly, since they are
    too large to be passed around; all others pass through autograd.
    """

    def __init__(self, field: Field, precision: str) -> None:
        self.kernels = FieldKernels(field, precision)

    def __call__(self, _field: Field, occupancy: OccupancyGrid, rays: Rays) -> Traced:
        """As `trace_rays`."""
        self.kernels.refresh()
        self._march(occupancy, rays)
        weights = [layer.weight for layer in self.kernels.layers]
        rendered = _Trace.apply(self, rays.features, rays.origins, rays.directions, *weights)
        return Traced(
            RenderedRays(rendered[:, :3], rendered[:, 3], rendered[:, 4]),
            rendered[:, 5],
            marched=int(self.starts[-1]),
            used=int(self.seen.sum()),
        )

    def _march(self, occupancy: OccupancyGrid, rays: Rays) -> None:
        """Find the samples: fills `steps`, `starts`, `distances`, `rays` and `positions`."""
        aabb_scale = self.kernels.field.shape.aabb_scale
        origins, directions = rays.origins.detach().numpy(), rays.directions.detach().numpy()
        count, tasks = len(origins), _tasks(len(origins), march.RAYS)
        self.steps = np.float32(rays.schedule.length), np.float32(rays.schedule.cone)
        box = (np.float32(0.5 - aabb_scale / 2), np.float32(0.5 + aabb_scale / 2), np.float32(rays.near))
        longest = rays.schedule.number(torch.tensor(3**0.5 * aabb_scale + rays.near))
        found = np.empty((tasks, march.RAYS * (int(longest) + 2) + march.LOOK), np.float32)
        counts = np.empty(count, np.int32)
        given = rays.jitter.numpy(), march.packed_occupancy(occupancy), box, self.steps
        parallel(march.march, tasks, origins, directions, *given, found, counts)
        self.starts = _starts(counts)
        total = max(1, int(self.starts[-1]))
        self.distances, self.rays = np.empty(total, np.float32), np.empty(total, np.int32)
        self.positions = np.empty((3, total), np.float32)
        placed = self.distances, self.rays, self.positions
        parallel(march.place_samples, tasks, origins, directions, found, self.starts, *placed)

    def evaluate(self, features: Tensor) -> Tensor:
        """What each ray sees, (rays, 6); keeps what `backward` needs."""
        kernels, count = self.kernels, int(self.starts[-1])
        self.features = ray_activations(features, kernels.dtype)
        self.encoding = kernels.encode(self.positions, count)
        self.density, self.colour = np.empty(count, np.float32), np.empty((count, 3), np.float32)
        samples = self.encoding, kernels.lanes, np.arange(count, dtype=np.int32), count, self.rays
        outputs, tasks = (self.density, self.colour), _tasks(count, networks.TASK)
        parallel(networks.evaluate, tasks, *samples, self.features, kernels.forward, *outputs)
        number = len(self.starts) - 1
        self.rendered, self.seen = np.empty((number, 6), np.float32), np.empty(number, np.int64)
        marched = self.starts, self.distances, self.steps, np.float32(MIN_TRANSMITTANCE)
        tasks = _tasks(number, composite.RAYS)
        parallel(composite.composite, tasks, *marched, *outputs, self.rendered, self.seen)
        return torch.from_numpy(self.rendered)

    def backward(
        self, incoming: Tensor, *, for_features: bool, for_positions: bool
    ) -> tuple[Tensor | None, ...]:
        """Gradients of the features, origins, directions and weights; adds those of the tables to theirs."""
        kernels, number = self.kernels, len(self.rendered)
        seen_starts = _starts(self.seen)
        count = int(seen_starts[-1])
        samples, d_raw = np.empty(count, np.int32), np.empty(count, np.float32)
        d_output, positions = np.empty((count, 3), np.float32), np.empty((3, count), np.float32)
        marched = self.starts, seen_starts, (self.distances, self.positions), self.steps
        damped, tasks = np.float32(GRADIENT_SCALE_DISTANCE), _tasks(number, composite.RAYS)
        outputs = (self.density, self.colour, self.rendered), incoming.contiguous().numpy()
        gradients = samples, d_raw, d_output, positions
        parallel(composite.composite_backward, tasks, *marched, damped, *outputs, gradients)
        tasks = _tasks(count, networks.TASK)
        d_weights = tuple(np.zeros((tasks, *shape), np.float32) for shape in kernels.shapes)
        shape = len(self.encoding), max(count, 1), len(kernels.lanes)
        d_encoding: np.ndarray = np.empty(shape, kernels.dtype)
        d_features = np.empty((count if for_features else 0, self.features.shape[1]), np.float32)
        given = self.encoding, kernels.lanes, samples, count, self.rays, self.features
        matrices, slopes = (kernels.forward, kernels.backward), (d_weights, d_encoding, d_features)
        parallel(networks.evaluate_backward, tasks, *given, *matrices, (d_raw, d_output), slopes)
        tables = kernels.field.grid.tables
        for table in tables:
            if table.grad is None:
                table.grad = torch.zeros_like(table)
        addresses = np.array([table.grad.data_ptr() for table in tables])
        parallel(encode.encode_backward, len(tables), kernels.grid, addresses, positions, count, d_encoding)
        rays = torch.from_numpy(self.rays[samples]).long()

        def by_ray(values: Tensor) -> Tensor:
            return values.new_zeros(number, values.shape[1]).index_add(0, rays, values)

        features = origins = directions = None
        if for_features:
            features = by_ray(torch.from_numpy(d_features)[:, : kernels.field.ray_width])
        if for_positions:
            d_positions = np.zeros((3, count), np.float32)
            tasks, encoded = _tasks(count, encode.CHUNK), (kernels.grid, positions, count, d_encoding)
            parallel(encode.position_gradient, tasks, *encoded, d_positions)
            moved = torch.from_numpy(d_positions).t()
            distances = torch.from_numpy(self.distances[samples])
            origins, directions = by_ray(moved), by_ray(moved * distances[:, None])
        weights = [
            torch.from_numpy(gradient.sum(axis=0)[: layer.out_features, : layer.in_features])
            for gradient, layer in zip(d_weights, kernels.layers, strict=True)
        ]
        return features, origins, directions, *weights


class _Trace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tracer: KernelTracer, features: Tensor, *_others: Tensor) -> Tensor:
        ctx.tracer = tracer
        return tracer.evaluate(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        _, for_features, *for_positions = ctx.needs_input_grad[:4]
        tracer: KernelTracer = ctx.tracer
        options = {"for_features": for_features, "for_positions": any(for_positions)}
        return None, *tracer.backward(gradients[0], **options)
