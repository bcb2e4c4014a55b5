"""A field in half precision, and compiled by torch."""

import shutil
from functools import partial

import pytest
import torch
import torch._dynamo
import torch._inductor.config
import torch._inductor.utils
from ball_training import SHORT, assert_same
from lively_field import everything, lively_field, patchy_occupancy, rays_through
from sphere_scene import write_ball_scene
from torch import Tensor

from triptych.radiance.backend import compile_shade
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.trace import trace_rays
from triptych.radiance.trainer import Trainer
from triptych.scenes.scene import Scene, read_scene
from triptych.workflow.errors import TriptychError


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_scene(write_ball_scene(tmp_path_factory.mktemp("ball") / "scene"))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_reference_stays_near_float32_in_half_precision(precision: str) -> None:
    field, grid = lively_field(aabb_scale=2), patchy_occupancy(2)
    results = []
    for each in ("float32", precision):
        field.zero_grad()
        rays = rays_through(field, 300)
        results.append(everything(field, trace_rays(field, grid, rays, precision=each), rays))
    for exact, rounded_ in zip(*results, strict=True):
        assert torch.nn.functional.cosine_similarity(exact.flatten(), rounded_.flatten(), dim=0) > 0.98


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_a_compiled_field_shades_as_the_plain_one() -> None:
    field = lively_field(levels=2)
    shade = compile_shade(field, "float32")
    assert shade is not None
    generator = torch.Generator().manual_seed(0)
    points, features = (
        torch.rand(50, 3, generator=generator),
        torch.randn(50, field.ray_width, generator=generator),
    )
    for found, wanted in zip(shade(points, features), field.shade(points, features), strict=True):
        assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-5)
    assert all(parameter.grad is None for parameter in field.parameters())


def test_without_a_compiler_the_field_runs_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    torch._dynamo.reset()
    field = lively_field(levels=3, features=1)
    without = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})
    with without, torch._inductor.utils.fresh_cache():
        assert compile_shade(field, "float32") is None
    assert "torch.compile does not work here" in caplog.text


class OnlyFloat32(Field):
    """A field that cannot be compiled for half precision, as with some compilers."""

    def shade(self, positions: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        if torch.is_autocast_enabled(positions.device.type):
            raise RuntimeError("no half precision")
        return super().shade(positions, features)


def test_compiling_is_tried_in_the_precision_of_training(caplog: pytest.LogCaptureFixture) -> None:
    torch._dynamo.reset()
    assert compile_shade(OnlyFloat32(FieldShape(levels=2, log2_table=8)), "bfloat16") is None
    assert "torch.compile does not work here" in caplog.text and "no half precision" in caplog.text


def float16_trainer(scene: Scene, loss_scale: float) -> Trainer:
    """In plain PyTorch, as the CPU's kernels have no float16."""
    trainer = Trainer(scene, SHORT)
    trainer.model.tracer = partial(trace_rays, precision="float16")
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=loss_scale)
    return trainer


def test_a_step_that_overflows_float16_is_skipped(scene: Scene) -> None:
    trainer = float16_trainer(scene, 2.0**40)
    before = {name: value.clone() for name, value in trainer.model.field.state_dict().items()}
    trainer.advance()
    assert trainer.step == 1 and trainer.scaler.get_scale() == 2.0**39
    assert_same(trainer.model.field.state_dict(), before)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    trainer.advance()
    assert trainer.scaler.get_scale() == 1024.0
    assert not torch.equal(trainer.model.field.state_dict()["grid.tables.0"], before["grid.tables.0"])


def test_float16_gradients_that_always_overflow_end_in_one_clear_line(scene: Scene) -> None:
    trainer = float16_trainer(scene, 2.0**-8)
    parameters = [value for optimizer in trainer.optimizers for value in optimizer.param_groups[0]["params"]]
    with pytest.raises(TriptychError, match="overflow float16 in every step; use precision bfloat16"):
        for _ in range(10):
            trainer.scaler.scale(torch.tensor(1.0))  # as for a loss
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, torch.inf)
            trainer.apply_gradients()
    assert trainer.scaler.get_scale() == 2.0**-11
