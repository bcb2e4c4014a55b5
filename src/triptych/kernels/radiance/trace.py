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

    Buffers are reused. The gradients of the hash tables are added to `table.grad` directly, since they are
    too large to be passed around; all others pass through autograd.
    """

    def __init__(self, field: Field, precision: str) -> None:
        self.kernels = FieldKernels(field, precision)

    def __call__(self, _field: Field, occupancy: OccupancyGrid, rays: Rays) -> Traced:
        """As `trace_rays`."""
        self.kernels.refresh()
        self._march(occupancy, rays)
        weights = [layer.weight for layer in self.kernels.layers]
        rendered = _Trace.apply(self, rays.schedule, rays.features, rays.origins, rays.directions, *weights)
        return Traced(
            RenderedRays(rendered[:, :3], rendered[:, 3], rendered[:, 4]),
            rendered[:, 5],
            marched=int(self.starts[-1]),
            used=int(self.seen.sum()),
        )

    def _march(self, occupancy: OccupancyGrid, rays: Rays) -> None:
        """Find the samples: fills `starts`, `distances`, `rays` and `positions`."""
        scratch, aabb_scale = self.kernels.scratch, self.kernels.field.shape.aabb_scale
        origins, directions = rays.origins.detach().numpy(), rays.directions.detach().numpy()
        count, tasks = len(origins), _tasks(len(origins), march.RAYS)
        length, cone = np.float32(rays.schedule.length), np.float32(rays.schedule.cone)
        box = (np.float32(0.5 - aabb_scale / 2), np.float32(0.5 + aabb_scale / 2), np.float32(rays.near))
        longest = rays.schedule.number(torch.tensor(3**0.5 * aabb_scale + rays.near))
        found = scratch.array("found", (tasks, march.RAYS * (int(longest) + 2) + march.LOOK))
        counts = np.empty(count, np.int32)
        given = rays.jitter.numpy(), march.packed_occupancy(occupancy), box, (length, cone)
        parallel(march.march, tasks, origins, directions, *given, found, counts)
        self.starts = _starts(counts)
        total = max(1, int(self.starts[-1]))
        self.distances = scratch.array("distances", (total,))
        self.rays = scratch.array("rays", (total,), np.int32)
        self.positions = scratch.array("positions", (3, total))
        placed = self.distances, self.rays, self.positions
        parallel(march.place_samples, tasks, origins, directions, found, self.starts, *placed)

    def evaluate(self, steps: tuple[np.float32, np.float32], features: np.ndarray) -> np.ndarray:
        """Fill density, colour and what each ray sees, (rays, 6)."""
        kernels, scratch, count = self.kernels, self.kernels.scratch, int(self.starts[-1])
        self.encoding = kernels.encode(self.positions, count)
        self.density, self.colour = scratch.array("density", (count,)), scratch.array("colour", (count, 3))
        samples = self.encoding, kernels.lanes, kernels.samples(count), count, self.rays
        outputs = self.density, self.colour
        tasks = _tasks(count, networks.TASK)
        parallel(networks.evaluate, tasks, *samples, features, kernels.forward, *outputs)
        number = len(self.starts) - 1
        rendered, self.seen = np.empty((number, 6), np.float32), np.empty(number, np.int64)
        marched = self.starts, self.distances, steps, np.float32(MIN_TRANSMITTANCE)
        tasks = _tasks(number, composite.RAYS)
        parallel(composite.composite, tasks, *marched, *outputs, rendered, self.seen)
        return rendered

    def backward(
        self,
        steps: tuple[np.float32, np.float32],
        features: np.ndarray,
        rendered: np.ndarray,
        incoming: np.ndarray,
        *,
        for_features: bool,
        for_positions: bool,
    ) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Gradients of the weights, of the features by sample, and of positions; adds to the tables'."""
        kernels, scratch, number = self.kernels, self.kernels.scratch, len(rendered)
        seen_starts = _starts(self.seen)
        count = int(seen_starts[-1])
        samples = scratch.array("samples", (count,), np.int32)
        d_raw, d_output = scratch.array("d_raw", (count,)), scratch.array("d_output", (count, 3))
        positions = scratch.array("seen_positions", (3, count))
        marched = self.starts, seen_starts, (self.distances, self.positions), steps
        outputs, gradients = (self.density, self.colour, rendered), (samples, d_raw, d_output, positions)
        damped, tasks = np.float32(GRADIENT_SCALE_DISTANCE), _tasks(number, composite.RAYS)
        parallel(composite.composite_backward, tasks, *marched, damped, outputs, incoming, gradients)
        tasks, width = _tasks(count, networks.TASK), features.shape[1]
        d_weights = tuple(
            scratch.array(f"d_weights{number}", (tasks, *shape))
            for number, shape in enumerate(kernels.shapes)
        )
        for array in d_weights:
            array.fill(0)
        shape = len(self.encoding), max(count, 1), len(kernels.lanes)
        d_encoding = scratch.array("d_encoding", shape, kernels.dtype)
        d_features = np.empty((count if for_features else 0, width), np.float32)
        given = self.encoding, kernels.lanes, samples, count, self.rays, features
        matrices, slopes = (kernels.forward, kernels.backward), (d_weights, d_encoding, d_features)
        parallel(networks.evaluate_backward, tasks, *given, *matrices, (d_raw, d_output), slopes)
        tables = kernels.field.grid.tables
        for table in tables:
            if table.grad is None:
                table.grad = torch.zeros_like(table)
        addresses = np.array([table.grad.data_ptr() for table in tables])
        parallel(encode.encode_backward, len(tables), kernels.grid, addresses, positions, count, d_encoding)
        d_positions = np.zeros((3, count if for_positions else 0), np.float32)
        if for_positions:
            tasks, encoded = _tasks(count, encode.CHUNK), (kernels.grid, positions, count, d_encoding)
            parallel(encode.position_gradient, tasks, *encoded, d_positions)
        self.seen_rays, self.seen_distances = self.rays[samples], self.distances[samples]
        return [gradient.sum(axis=0) for gradient in d_weights], d_features, d_positions


class _Trace(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tracer: KernelTracer, schedule: Any, features: Tensor, origins: Tensor, *_others: Tensor
    ) -> Tensor:
        ctx.tracer, ctx.steps = tracer, (np.float32(schedule.length), np.float32(schedule.cone))
        ctx.features = ray_activations(features, tracer.kernels.dtype)
        ctx.rendered = tracer.evaluate(ctx.steps, ctx.features)
        ctx.count, ctx.width = len(origins), features.shape[1]
        return torch.from_numpy(ctx.rendered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tracer, needed = ctx.tracer, ctx.needs_input_grad
        for_features, for_positions = needed[2], needed[3] or needed[4]
        incoming = gradients[0].contiguous().numpy()
        weights, d_features, d_positions = tracer.backward(
            ctx.steps,
            ctx.features,
            ctx.rendered,
            incoming,
            for_features=for_features,
            for_positions=for_positions,
        )
        rays = torch.from_numpy(tracer.seen_rays).long()

        def by_ray(values: Tensor) -> Tensor:
            return values.new_zeros(ctx.count, values.shape[1]).index_add(0, rays, values)

        features = by_ray(torch.from_numpy(d_features)[:, : ctx.width]) if for_features else None
        origins = directions = None
        if for_positions:
            moved = torch.from_numpy(d_positions).t()
            origins = by_ray(moved)
            directions = by_ray(moved * torch.from_numpy(tracer.seen_distances)[:, None])
        layers = tracer.kernels.layers
        cut = [
            torch.from_numpy(weight[: layer.out_features, : layer.in_features])
            for weight, layer in zip(weights, layers, strict=True)
        ]
        return None, None, features, origins, directions, *cut
