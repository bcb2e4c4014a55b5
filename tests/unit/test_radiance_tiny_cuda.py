"""Fields made of tiny-cuda-nn's modules, against a stand-in with its interface: the real one needs a GPU."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych.radiance.backend import compiled_operation, precision_used
from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.optimizer import field_optimizers, moving_average
from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import load_field, save_field
from triptych.radiance.tiny_cuda import TINY_CUDA, modules_for
from triptych.workflow.errors import TriptychError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SHAPE = FieldShape(levels=3, features=2, log2_table=6, modules=TINY_CUDA)


class StandIn(nn.Module):
    """One linear layer whose weights are flat, as all of tiny-cuda-nn's; refuses to be called for nothing."""

    def __init__(self, inputs: int, outputs: int, settings: dict[str, Any], seed: int) -> None:
        super().__init__()
        self.shape, self.settings = (outputs, inputs), settings
        generator = torch.Generator().manual_seed(seed)
        self.params = nn.Parameter(torch.randn(outputs * inputs, generator=generator))

    def forward(self, rows: Tensor) -> Tensor:
        assert len(rows) and self.params.dim() == 1
        return (rows.float() @ self.params.view(self.shape).T).half()


def encoding(inputs: int, settings: dict[str, Any], seed: int) -> StandIn:
    return StandIn(inputs, settings["n_levels"] * settings["n_features_per_level"], settings, seed)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", SimpleNamespace(Encoding=encoding, Network=StandIn))


def test_it_serves_on_cuda_where_it_can_be_imported(installed: None) -> None:
    assert modules_for(CUDA, precision="auto", features=4) == TINY_CUDA
    assert modules_for(CPU, precision="auto", features=4) == "torch"
    assert modules_for(CUDA, precision="float32", features=4) == "torch"
    assert modules_for(CUDA, precision="auto", features=3) == "torch"


def test_without_it_a_field_is_made_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    assert modules_for(CUDA, precision="auto", features=4) == "torch"


def test_a_field_of_its_modules_learns_and_is_averaged(installed: None) -> None:
    field = Field(SHAPE, generator=torch.Generator().manual_seed(0))
    again = Field(SHAPE, generator=torch.Generator().manual_seed(0))
    assert all(map(torch.equal, field.parameters(), again.parameters()))
    assert compiled_operation("radiance_tracer", field) is None and precision_used(field, "auto") == "float16"
    assert field.grid.tables[0].shape[1] == 2
    assert len(list(field.parameters())) == 3  # the table and two networks, nothing twice
    optimizers, average = field_optimizers(field, weight_decay=0.0, compiled=None), moving_average(field, 0.9)
    positions = torch.rand(20, 3, generator=torch.Generator().manual_seed(1))
    directions = torch.nn.functional.normalize(positions, dim=-1)
    before = [value.clone() for value in field.parameters()]
    density, colour = field(positions, directions)
    assert density.dtype == colour.dtype == torch.float32
    (density.mean() + colour.mean()).backward()
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = 0.01
        optimizer.step()
    assert not any(map(torch.equal, before, field.parameters()))
    assert all(map(torch.equal, before, average.module.parameters()))
    average.update_parameters(field)
    for averaged, current in zip(
        average.module(positions, directions), field(positions, directions), strict=True
    ):
        assert torch.equal(averaged, current)
    density, colour = field(positions[:0], directions[:0])
    assert density.shape == (0,) and colour.shape == (0, 3)


def test_its_snapshot_says_what_it_needs(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "field.safetensors", tmp_path / "field.json"
    occupancy = OccupancyGrid(aabb_scale=1, resolution=8, device=CPU)
    save_field(*files, RadianceField(Field(SHAPE), occupancy, 0.1, torch.zeros(3), 1.0, "auto"))
    with pytest.raises(TriptychError, match=r"made of tiny-cuda-nn.* set device: cuda") as caught:
        load_field(*files, device=CPU)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    with pytest.raises(TriptychError, match=r"made of tiny-cuda-nn, .*install tinycudann"):
        Field(SHAPE)
