"""`torch.compile`, where it works and where it does not."""

import logging
import shutil
import sysconfig
from pathlib import Path

import pytest
import torch
import torch._inductor.config
from toy_training import same, train

from triptych.training.compilation import first_use

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
    with caplog.at_level(logging.WARNING, logger="triptych"):
        straight, _ = train(tmp_path / "straight", epochs=2, compile=True)
    assert "cannot be compiled" not in caplog.text
    assert straight._compiled_call_impl is not None

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
    assert len(told) == 1 and "cannot be compiled here and runs as it is" in told[0]
    assert same(fallen, train(tmp_path / "plain", epochs=2)[0])


def test_errors_of_the_model_itself_are_not_taken_for_the_compilers() -> None:
    def attempt() -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        first_use(torch.nn.Linear(1, 1), attempt)
