"""The CPU's kernels of radiance fields do what plain PyTorch does, on any number of threads."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from cpu_features import pretend_cpu_has
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import bfloat16_tier
from lively_field import everything, lively_field, patchy_occupancy, rays_through

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.radiance import composite as composite_kernels
from triptych.kernels.radiance.field import FieldKernels, activation_type
from triptych.kernels.radiance.render import KernelRenderer
from triptych.kernels.radiance.trace import KernelTracer
from triptych.radiance.composite import composite
from triptych.radiance.field import Field
from triptych.radiance.march import march
from triptych.radiance.render import RadianceField, render_chunk
from triptych.radiance.trace import trace_rays
from triptych.workflow.errors import TriptychError

__all__ = ["bfloat16_tier"]


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("aabb_scale", [1, 4])
@pytest.mark.parametrize(("levels", "features", "appearance"), [(8, 4, 0), (4, 2, 8), (3, 8, 16)])
def test_tracing_agrees_with_the_reference_in_values_and_gradients(
    aabb_scale: int, levels: int, features: int, appearance: int
) -> None:
    shape = {"aabb_scale": aabb_scale, "levels": levels, "features": features}
    field = lively_field(**shape, images=5 if appearance else 0, appearance=appearance)
    grid = patchy_occupancy(aabb_scale)
    rays = rays_through(field, 150)
    reference = trace_rays(field, grid, rays, precision="float32")
    wanted = everything(field, reference, rays)
    field.zero_grad()
    rays = rays_through(field, 150)
    ours = KernelTracer(field, "float32")(field, grid, rays)
    found = everything(field, ours, rays)
    assert (ours.marched, ours.used) == (reference.marched, reference.used)
    assert ours.used > 500
    if (aabb_scale, levels) == (4, 8):  # here some lie behind what is opaque
        assert ours.used < ours.marched
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        assert (mine - theirs).norm() <= 5e-3 * theirs.norm()
    assert torch.allclose(found[0], wanted[0], atol=1e-4)


def test_gradients_agree_with_the_reference_where_density_is_clamped() -> None:
    raw = torch.tensor([14.5, 15.5, 12.0, 20.0], requires_grad=True)
    distance, length = torch.tensor([1.0, 1.1, 1.2, 1.3]), 1e-7  # so short that light comes through
    colour = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    density = Field._density(raw[:, None])
    ray, weight = torch.zeros(4, dtype=torch.int64), torch.tensor([0.3, -0.5, 0.8])
    wanted, _ = composite(density, colour, distance, torch.full((4,), length), ray, 1)
    (wanted.colour @ weight).sum().backward()

    starts, distances, steps = np.array([0, 4]), distance.numpy(), (np.float32(length), np.float32(0))
    outputs = density.detach().numpy(), colour.numpy(), np.empty((1, 6), np.float32)
    composite_kernels.composite(0, starts, distances, steps, np.float32(0), *outputs, np.empty(1, np.int64))
    rendered, d_raw = outputs[2], np.empty(4, np.float32)
    gradients = np.empty(4, np.int32), d_raw, np.empty((4, 3), np.float32), np.empty((3, 4), np.float32)
    samples, damped = (distances, np.zeros((3, 4), np.float32)), np.float32(0.1)
    incoming = np.array([[*weight.tolist(), 0, 0, 0]], np.float32)
    composite_kernels.composite_backward(
        0, starts, starts, samples, steps, damped, outputs, incoming, gradients
    )
    assert np.allclose(rendered[0, :3], wanted.colour[0].detach(), rtol=1e-4)
    assert raw.grad is not None and raw.grad.abs().min() > 1e-4
    assert np.allclose(d_raw, raw.grad, rtol=1e-3)


@pytest.mark.usefixtures("bfloat16_tier")
def test_bfloat16_stays_near_float32() -> None:
    field, grid = lively_field(aabb_scale=2), patchy_occupancy(2)
    results = []
    for precision in ("float32", "bfloat16"):
        field.zero_grad()
        rays = rays_through(field, 300)
        results.append(everything(field, KernelTracer(field, precision)(field, grid, rays), rays))
    for exact, rounded in zip(*results, strict=True):
        cosine = torch.nn.functional.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0)
        assert cosine > 0.98
    assert (results[0][0] - results[1][0])[:, :4].abs().mean() < 0.01


@pytest.mark.usefixtures("bfloat16_tier")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_bits_do_not_depend_on_the_number_of_threads(precision: str, three_threads: None) -> None:
    field, grid = lively_field(), patchy_occupancy(1)
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        field.zero_grad()
        rays = rays_through(field, 3000)
        results.append(everything(field, KernelTracer(field, precision)(field, grid, rays), rays))
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_rays_that_hit_nothing_are_black_and_have_no_gradients() -> None:
    field, grid = lively_field(), patchy_occupancy(1, share=0.0)
    rays = rays_through(field, 70)
    traced = KernelTracer(field, "float32")(field, grid, rays)
    seen, *gradients = everything(field, traced, rays)
    assert traced.marched == traced.used == 0
    assert not seen.any()
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("aabb_scale", [1, 8])
@settings(max_examples=10)
@given(seed=st.integers(0, 1000), step_scale=st.sampled_from([1.0, 2.7, 8.0]))
def test_marching_finds_the_samples_of_the_reference(aabb_scale: int, seed: int, step_scale: float) -> None:
    field = lively_field(aabb_scale=aabb_scale, levels=2, log2_table=8)
    grid = patchy_occupancy(aabb_scale, seed=seed, share=0.02)
    rays = rays_through(field, 64, seed=seed, step_scale=step_scale)
    with torch.no_grad():
        wanted = march(
            rays.origins,
            rays.directions,
            rays.jitter,
            occupancy=grid,
            schedule=rays.schedule,
            aabb_scale=aabb_scale,
            near=rays.near,
        )
    tracer = KernelTracer(field, "float32")
    tracer._march(grid, rays)
    found = torch.from_numpy(tracer.distances.copy())[: tracer.starts[-1]]
    # a sample on the border of a cell may fall to either side
    assert abs(len(found) - len(wanted)) <= 0.01 * len(wanted) + 1
    if len(found) == len(wanted):
        assert torch.allclose(found, wanted.distance, atol=1e-4)
        assert torch.equal(torch.from_numpy(tracer.rays.copy()).long()[: len(found)], wanted.ray_index)


@pytest.mark.parametrize("min_transmittance", [0.0, 1e-2])
def test_rendering_agrees_with_the_reference(min_transmittance: float) -> None:
    field, grid = lively_field(aabb_scale=4), patchy_occupancy(4)
    rays = rays_through(field, 2000)
    scene = RadianceField(field, grid, 0.1, torch.zeros(3), 4.0, "float32")
    with torch.no_grad():
        wanted = render_chunk(scene, rays.origins.detach(), rays.directions.detach(), min_transmittance)
        found = KernelRenderer(field, "float32")(
            grid,
            rays.origins.detach(),
            rays.directions.detach(),
            schedule=rays.schedule,
            near=0.1,
            min_transmittance=min_transmittance,
        )
    near = 1e-4 + min_transmittance  # waves differ, and with them where a ray is given up
    for name in ("colour", "opacity"):
        assert (getattr(found, name) - getattr(wanted, name)).abs().max() < near
    assert (found.depth - wanted.depth).abs().max() < 20 * near


def test_a_ray_of_nans_sees_nothing() -> None:
    field, grid = lively_field(), patchy_occupancy(1, share=1.0)
    rays = rays_through(field, 10)
    with torch.no_grad():
        rays.directions[3] = torch.nan
    tracer = KernelTracer(field, "float32")
    tracer._march(grid, rays)
    assert tracer.starts[4] == tracer.starts[3]
    assert tracer.starts[-1] > 0
    origins, directions = rays.origins.detach(), rays.directions.detach()
    seen = KernelRenderer(field, "float32")(
        grid, origins, directions, schedule=rays.schedule, near=0.1, min_transmittance=0.0
    )
    assert seen.opacity[3] == 0


def test_density_follows_the_weights() -> None:
    field = lively_field()
    kernels, points = (
        FieldKernels(field, "float32"),
        torch.rand(1000, 3, generator=torch.Generator().manual_seed(1)),
    )
    assert torch.allclose(kernels.density(points), field.density(points), rtol=1e-3)
    with torch.no_grad():
        field.density_network[-1].weight[0] *= 0.5
    kernels.refresh()
    assert torch.allclose(kernels.density(points), field.density(points), rtol=1e-3)


def test_bfloat16_without_instructions_for_it_is_an_error_that_says_what_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend_cpu_has(monkeypatch, "avx2")
    with pytest.raises(TriptychError, match="use auto or float32"):
        activation_type("bfloat16")


def test_an_exception_in_a_task_reaches_the_caller(three_threads: None) -> None:
    def fail(task: int) -> None:
        if task == 7:
            raise ValueError("task 7")

    with pytest.raises(ValueError, match="task 7"):
        parallel(fail, 20)


def test_kernels_work_on_a_cpu_without_amx_or_avx512() -> None:
    name = "test_tracing_agrees_with_the_reference_in_values_and_gradients[8-4-0-4]"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{__file__}::{name}"],
        env={**os.environ, "NUMBA_CPU_NAME": "generic"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
