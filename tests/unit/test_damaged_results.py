"""A result that was cut off or damaged is one clear line where it is read, whatever its format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from triptych.experiments.experiment import load_weights, save_weights
from triptych.report.results import read_history, read_result
from triptych.report.sections import drawing
from triptych.ssl.features import load_features
from triptych.training.history import History
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import (
    read_array,
    read_arrays,
    write_array,
    write_arrays,
    write_json,
    write_tensors,
)


def write_history(path: Path) -> None:
    rows = [{"epoch": epoch, "train_loss": 1 / epoch} for epoch in (1, 2, 3)]
    History(path.with_name("events"), key="epoch", rows=rows).close(path)


def draw(path: Path) -> None:
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg'><rect width='1'/><rect width='2'/></svg>\n")


def features(path: Path) -> None:
    write_tensors(path, {"features": torch.ones(9, 4), "labels": torch.ones(9)})


FORMATS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "history.csv": (write_history, read_history),
    "predictions.npy": (lambda path: write_array(path, np.arange(99)), read_array),
    "map.npz": (lambda path: write_arrays(path, {"points": np.arange(99)}), read_arrays),
    "curves.svg": (draw, lambda path: drawing(path, "")),
    "model.safetensors": (
        lambda path: save_weights(nn.Linear(9, 9), path),
        lambda path: load_weights(nn.Linear(9, 9), path),
    ),
    "train.safetensors": (features, load_features),
    "metrics.json": (lambda path: write_json(path, {"top1": 1.0, "provenance": {"seed": 0}}), read_result),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.97])
def test_a_torn_result_is_named_with_its_remedy(tmp_path: Path, name: str, share: float) -> None:
    write, read = FORMATS[name]
    path = tmp_path / name
    write(path)
    read(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(TriptychError, match=rf"{name}.*(run|runs) again"):
        read(path)
