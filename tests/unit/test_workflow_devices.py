"""`device` and `precision` of a recipe, on whatever this machine has."""

import pytest
import torch

from triptych.workflow.devices import (
    autocast,
    choose_device,
    describe_conditions,
    describe_precision,
    has_fast_bfloat16,
)
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")


def test_auto_takes_the_best_there_is() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == best
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_one_clear_line(name: str) -> None:
    with pytest.raises(TriptychError, match=f"device: '{name}' is not available on this machine; use auto"):
        choose_device(name)


def test_bfloat16_is_used_where_it_is_asked_for_or_fast() -> None:
    a, b = torch.ones(4, 4), torch.ones(4, 4)

    def product_type(precision: str) -> torch.dtype:
        with autocast(CPU, precision):
            return (a @ b).dtype

    assert product_type("bfloat16") == torch.bfloat16
    assert product_type("float32") == torch.float32
    assert product_type("auto") == (torch.bfloat16 if has_fast_bfloat16(CPU) else torch.float32)
    for precision in ("bfloat16", "float32", "auto"):
        assert str(product_type(precision)) == f"torch.{describe_precision(CPU, precision)}"


def test_conditions_of_a_training_name_format_threads_cpu_and_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from triptych.kernels import registry

    for tier in ("off", "avx2"):  # a machine that has lost its instructions has other conditions
        monkeypatch.setattr(registry, "_tier", tier)
        words = describe_conditions(torch.device("cpu"), "float32")
        assert words.startswith(f"float32 on {torch.get_num_threads()} threads of ")
        assert words.endswith(f", kernels {tier}")
