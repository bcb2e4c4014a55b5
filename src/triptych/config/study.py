"""The whole config: parts, compute, data sets, and the three parts' sections."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from triptych.config.data import Dataset
from triptych.config.grid import Architecture, Augmentation, Grid
from triptych.config.knobs import UNIQUE, FilePath, Name, Natural, Number, Positive, Section, knob
from triptych.config.reconstruction import Reconstruction, SceneSection
from triptych.config.self_supervision import SelfSupervision

Part = Literal["self_supervision", "grid", "reconstruction"]
PARTS: list[Part] = ["self_supervision", "grid", "reconstruction"]


def _off(value: Any) -> Any:
    return "off" if value is False else value  # YAML reads an unquoted `off` as false


class Compute(Section):
    """Resources of the jobs. They are not part of any recipe: changing them makes no result stale."""

    threads: Positive = knob(16, "cores that a training may use; at most --cores")
    cell_threads: Positive | None = knob(
        None, "cores per cell of the grid; with gpus: 0, as many cells run in parallel as fit; null: threads"
    )
    gpus: Natural = knob(
        1, "GPUs to reserve for each of a recipe's gpus; 0: none, and device auto is not CUDA"
    )
    checkpoint_minutes: Number = knob(
        5, "minutes between checkpoints; a stopped training (Ctrl-C, SIGTERM) saves one at once", gt=0
    )
    cache: FilePath | None = knob(
        None, "folder in which all studies share downloads and packed images; null: cache/ in the project"
    )
    kernels: Annotated[Literal["auto", "off", "amx_bf16", "avx512_bf16", "avx2"], BeforeValidator(_off)] = (
        knob("auto", "auto (the fastest for this CPU) | off (plain PyTorch) | amx_bf16 | avx512_bf16 | avx2")
    )


class Study(Section):
    """The config of a study."""

    parts: Annotated[list[Part], Field(min_length=1), UNIQUE] | None = knob(
        None, "which parts to run; null: all, or only those that use your own images or scenes, if any do"
    )
    results_from: FilePath | None = knob(
        None,
        "folder of finished results, such as study: only their tables, figures and page are made; null: none",
    )
    compute: Compute = Compute()
    datasets: dict[Name, Dataset] = knob({}, "data sets by name")
    self_supervision: SelfSupervision = SelfSupervision()
    architectures: dict[Name, Architecture] = knob({}, "architectures by name")
    augmentations: dict[Name, Augmentation] = knob({}, "augmentations by name")
    grid: Grid = Grid()
    reconstruction: Reconstruction = Reconstruction()
    scenes: dict[Name, SceneSection] = knob({}, "scenes by name")
