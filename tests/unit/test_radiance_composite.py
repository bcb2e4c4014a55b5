"""Volume rendering: what must hold for any samples, and the cases with a closed form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from triptych.radiance.composite import composite, transmittance

COUNTS = arrays(np.int64, st.integers(1, 6), elements=st.integers(0, 9))


def samples(counts: np.ndarray, seed: int) -> dict[str, torch.Tensor]:
    """Random samples for rays with these numbers of them."""
    generator = torch.Generator().manual_seed(seed)
    total = int(counts.sum())
    return {
        "density": torch.rand(total, generator=generator, dtype=torch.float64) * 20,
        "colour": torch.rand(total, 3, generator=generator, dtype=torch.float64),
        "distance": torch.rand(total, generator=generator, dtype=torch.float64),
        "step_length": torch.rand(total, generator=generator, dtype=torch.float64) * 0.1,
        "ray_index": torch.from_numpy(np.repeat(np.arange(len(counts)), counts)),
    }


@given(COUNTS, st.integers(0, 99))
def test_compositing_equals_the_loop_over_samples(counts: np.ndarray, seed: int) -> None:
    given_samples = samples(counts, seed)
    rendered, weight = composite(**given_samples, num_rays=len(counts))
    light = np.ones(len(counts))
    colour, depth = np.zeros((len(counts), 3)), np.zeros(len(counts))
    for n, ray in enumerate(given_samples["ray_index"].tolist()):
        alpha = 1 - math.exp(-float(given_samples["density"][n] * given_samples["step_length"][n]))
        assert float(weight[n]) == pytest.approx(light[ray] * alpha, abs=1e-12)
        colour[ray] += light[ray] * alpha * given_samples["colour"][n].numpy()
        depth[ray] += light[ray] * alpha * float(given_samples["distance"][n])
        light[ray] *= 1 - alpha
    np.testing.assert_allclose(rendered.colour, colour, atol=1e-12)
    np.testing.assert_allclose(rendered.depth, depth, atol=1e-12)
    np.testing.assert_allclose(rendered.opacity, 1 - light, atol=1e-12)


@given(COUNTS, st.integers(0, 99))
def test_weights_are_shares_of_the_light(counts: np.ndarray, seed: int) -> None:
    rendered, weight = composite(**samples(counts, seed), num_rays=len(counts))
    assert (weight >= 0).all()
    assert (rendered.opacity <= 1 + 1e-12).all()
    white = rendered.over(torch.ones(3, dtype=torch.float64))
    assert (white <= 1 + 1e-12).all()


@given(st.floats(0.01, 50), st.floats(0.1, 3))
def test_constant_density_gives_the_exponential_law(density: float, length: float) -> None:
    edges = torch.linspace(0, length, 33, dtype=torch.float64)
    rendered, _ = composite(
        density=torch.full((32,), density, dtype=torch.float64),
        colour=torch.ones(32, 3, dtype=torch.float64),
        distance=(edges[1:] + edges[:-1]) / 2,
        step_length=edges[1:] - edges[:-1],
        ray_index=torch.zeros(32, dtype=torch.int64),
        num_rays=1,
    )
    assert rendered.opacity.item() == pytest.approx(1 - math.exp(-density * length), abs=1e-12)


def test_what_is_in_front_hides_what_is_behind() -> None:
    wall = {
        "density": torch.full((2,), 1e6),
        "step_length": torch.full((2,), 0.01),
        "distance": torch.arange(2.0),
    }
    colour = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
    rendered, _ = composite(**wall, colour=colour, ray_index=torch.zeros(2, dtype=torch.int64), num_rays=1)
    assert rendered.colour[0].tolist() == pytest.approx([1, 0, 0])


def test_rays_without_samples_show_the_background() -> None:
    nothing = torch.zeros(0)
    rendered, _ = composite(
        nothing, torch.zeros(0, 3), nothing, nothing, torch.zeros(0, dtype=torch.int64), num_rays=2
    )
    assert (
        rendered.over(torch.tensor([0.1, 0.2, 0.3])).tolist() == torch.tensor([[0.1, 0.2, 0.3]] * 2).tolist()
    )


def test_transmittance_is_exact_after_very_opaque_rays() -> None:
    depths = torch.tensor([1e6] * 50 + [1e-3, 1e-3])
    ray = torch.tensor([0] * 50 + [1, 1])
    assert transmittance(depths, ray)[-1].item() == pytest.approx(math.exp(-1e-3), abs=1e-7)


def test_gradients_are_exact() -> None:
    parts = samples(np.array([3, 0, 2]), 5)
    density, colour = parts["density"].requires_grad_(), parts["colour"].requires_grad_()

    def outputs(density: torch.Tensor, colour: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rendered, _ = composite(
            density, colour, parts["distance"], parts["step_length"], parts["ray_index"], 3
        )
        return rendered.colour, rendered.opacity, rendered.depth

    assert torch.autograd.gradcheck(outputs, (density, colour))
