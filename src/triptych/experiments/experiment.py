"""One run of an experiment on a data set of images: what it reads, and where it writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset, load_packed
from triptych.workflow.devices import choose_device, describe_precision
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, digest_of_value, read_json, write_json, write_tensors
from triptych.workflow.job import Job
from triptych.workflow.records import RECORDS
from triptych.workflow.seeds import derive_seed

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake


@dataclass(frozen=True)
class Experiment:
    """One run of one recipe with one seed."""

    label: str  # shown in progress and errors, for example `simclr seed 0`
    data: str  # folder of a packed data set
    recipe: Mapping[str, Any]  # everything from the config that decides the result
    seed: int
    folder: Path  # receives `metrics.json`, `history.csv`, `tensorboard/` and weights
    checkpoints: Path  # outside every output
    # file that lists what this run found on the test images, whatever its recipe was; no output, so that it
    # outlives a change of the recipe
    test_outcomes: Path
    checkpoint_minutes: float  # between two checkpoints; not in the recipe, because it changes no result
    running: Job

    @property
    def device(self) -> torch.device:
        """The device that the recipe names."""
        return choose_device(self.recipe["device"])

    def dataset(self) -> PackedDataset:
        """Open the packed data set."""
        return load_packed(self.data)

    def seed_weights(self) -> None:
        """Seed the global generator that initial weights are drawn from."""
        torch.manual_seed(derive_seed(self.seed, "weights"))

    def fit_options(self) -> dict[str, Any]:
        """Arguments of `triptych.training.loop.fit`: `recipe`, `seed`, `device`, `label`, `folder`."""
        return {
            "recipe": self.recipe,
            "seed": self.seed,
            "device": self.device,
            "label": self.label,
            "folder": self.folder,
        }

    def write_metrics(self, metrics: Mapping[str, Any], dataset: PackedDataset, seconds: float) -> None:
        """Write `metrics.json` with its provenance; with results of test images also `test_looks`."""
        device = self.device
        facts = {
            "wall_seconds": seconds,
            "device": str(device),
            "precision": describe_precision(device, self.recipe["precision"]),
            "data": {"name": dataset.name, "digest": dataset.digest[:16]},
        }
        record = self.running.provenance(recipe=dict(self.recipe), seed=self.seed, **facts)
        looks = {"test_looks": self._test_looks(metrics)} if "test_top1_accuracy" in metrics else {}
        write_json(self.folder / "metrics.json", {**metrics, **looks, "provenance": record})

    def _test_looks(self, metrics: Mapping[str, Any]) -> int:
        """How many different results of this run on the test images there have been, with this one.

        Each of them is a chance to prefer a recipe for its test images; above one, tables say so.
        """
        outcome = digest_of_value({key: value for key, value in metrics.items() if key.startswith("test_")})
        seen = read_json(self.test_outcomes) if self.test_outcomes.exists() else []
        if outcome not in seen:
            write_json(self.test_outcomes, seen := [*seen, outcome])
        return len(seen)


def experiment_of(snakemake: "Snakemake", running: Job) -> Experiment:
    """The experiment of a rule; the run is named by its folder under results/."""
    folder = Path(snakemake.output.metrics).parent
    run = folder.relative_to("results")
    return Experiment(
        label=str(run),
        data=str(Path(snakemake.input.data[0]).parent),
        recipe=snakemake.params.recipe,
        seed=int(snakemake.wildcards.seed),
        folder=folder,
        checkpoints=Path("results/checkpoints") / run,
        test_outcomes=RECORDS / "test_outcomes" / f"{run}.json",
        checkpoint_minutes=snakemake.config["compute"]["checkpoint_minutes"],
        running=running,
    )


def training_images(
    dataset: PackedDataset, device: torch.device, indices: NDArray[np.int64] | None = None
) -> DeviceImages:
    """The training images, or those at `indices`, on the device."""
    return _device_images(dataset, dataset.train_images, dataset.train_labels, device, indices)


def test_images(
    dataset: PackedDataset, device: torch.device, indices: NDArray[np.int64] | None = None
) -> DeviceImages:
    """The test images, or those at `indices`; evaluated once, after every choice is made."""
    return _device_images(dataset, dataset.test_images, dataset.test_labels, device, indices)


def _device_images(
    dataset: PackedDataset,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    device: torch.device,
    indices: NDArray[np.int64] | None,
) -> DeviceImages:
    mean, std, side = dataset.mean, dataset.std, dataset.image_size[0]
    return DeviceImages(images, labels, mean=mean, std=std, device=device, indices=indices, side=side)


def training_and_validation(
    dataset: PackedDataset, validation: int | Literal["auto"], device: torch.device
) -> tuple[DeviceImages, DeviceImages]:
    """Split the training images; a `TriptychError` if too few are left (`PackedDataset.validation_split`)."""
    train, held_out = dataset.validation_split(validation)
    return training_images(dataset, device, train), training_images(dataset, device, held_out)


def save_weights(model: nn.Module, target: Path) -> None:
    """Save a module's state in float32 as safetensors, loadable on any device.

    Weights that layers share are written once for each of them: the format has no sharing.
    """
    state = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    with atomic_path(target) as temporary:
        write_tensors(temporary, state)


def load_weights(model: nn.Module, source: str | Path) -> None:
    """Load what `save_weights` wrote; a `TriptychError` if it is damaged or of another architecture."""
    try:
        found = load_file(source)
    except SafetensorError as error:
        raise TriptychError(f"{source} cannot be read ({error}); delete it and run again") from error
    expected = model.state_dict()
    for name in {**expected, **found}:
        there, here = (list(state[name].shape) if name in state else "missing" for state in (found, expected))
        if there != here:
            raise TriptychError(
                f"{source}: the weights do not fit the configured architecture: {name} is {there} in the "
                f"file and {here} in the network; correct the architecture's options, or delete the file and "
                "run again"
            )
    model.load_state_dict(found)
