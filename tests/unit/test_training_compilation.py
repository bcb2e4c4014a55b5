"""`torch.compile`, where it works and where it does not."""

import logging
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
import torch._inductor.config
from torch._dynamo.utils import counters
from toy_training import same, train

from triptych.training.compilation import compile_in_place, with_uncompiled_fallback

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or not (Path(sysconfig.get_path("include")) / "Python.h").exists(),
    reason="needs g++ and the headers of Python",
)


@needs_compiler
def test_a_compiled_run_learns_what_the_uncompiled_one_learns(tmp_path: Path) -> None:
    # Without dropout: compiled, it draws other numbers.
    plain, reference = train(tmp_path / "plain", epochs=2, dropout=0.0)
    compiled, fitted = train(tmp_path / "compiled", epochs=2, dropout=0.0, compile=True)
    for row, expected in zip(fitted.rows, reference.rows, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
    assert list(compiled.state_dict()) == list(plain.state_dict())


@needs_compiler
def test_a_compiled_run_that_is_killed_resumes_to_the_same_bits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.compiler.reset()
    counters.clear()
    with caplog.at_level(logging.WARNING, logger="triptych"):
        straight, _ = train(tmp_path / "straight", epochs=2, compile=True)
    assert "cannot be compiled" not in caplog.text
    assert counters["stats"]["unique_graphs"] > 0

    class Killed(BaseException):
        pass

    def killed(model: torch.nn.Module) -> float:
        raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "killed", every=0.0, epochs=2, compile=True, evaluate=killed)
    torch.compiler.reset()
    resumed, _ = train(tmp_path / "killed", epochs=2, compile=True)
    assert same(resumed, straight)


def test_without_a_compiler_the_run_says_so_once_and_gives_the_uncompiled_bits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.compiler.reset()
    without = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    with without, caplog.at_level(logging.WARNING, logger="triptych"):
        fallen, _ = train(tmp_path / "fallen", epochs=2, compile=True)
    told = [record.message for record in caplog.records if record.name == "triptych"]
    assert len(told) == 1 and "cannot be compiled here and runs uncompiled" in told[0]
    assert same(fallen, train(tmp_path / "plain", epochs=2)[0])


@needs_compiler
def test_a_compiler_that_fails_at_a_later_shape_only_ends_the_compiling(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.compiler.reset()
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    compile_in_place(model)
    with_uncompiled_fallback(model, lambda: model(torch.ones(4, 3)))
    assert model._compiled_call_impl is not None
    seen = model[1].num_batches_tracked.item()
    without = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True})
    with without, caplog.at_level(logging.WARNING, logger="triptych"):
        out = with_uncompiled_fallback(model, lambda: model(torch.ones(5, 3)))
    assert out.shape == (5, 3) and model[1].num_batches_tracked.item() == seen + 1
    assert "cannot be compiled here and runs uncompiled" in caplog.text
    assert model._compiled_call_impl is None


@needs_compiler
def test_evaluations_and_what_comes_after_the_training_run_uncompiled(tmp_path: Path) -> None:
    compiled = []

    def evaluate(model: torch.nn.Module) -> float:
        compiled.append(model._compiled_call_impl is not None)
        return 0.0

    model, _ = train(tmp_path, epochs=2, compile=True, evaluate=evaluate)
    assert compiled == [False, False] and model._compiled_call_impl is None


def test_errors_of_the_model_itself_are_not_taken_for_the_compilers() -> None:
    model = torch.nn.Linear(1, 1)
    compile_in_place(model)

    def attempt() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        with_uncompiled_fallback(model, attempt)
