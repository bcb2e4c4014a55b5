"""A trained classifier of a study, with all that is needed to classify other images with it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.classify.architectures import build_model
from triptych.data.image_files import natural_order
from triptych.experiments.experiment import load_weights
from triptych.ssl.encoder import build_encoder
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json

NAMED = 8  # most runs in a message


class Classifier(nn.Module):
    """A network with the normalisation of its images: (N, 3, side, side) pixels in 0..1 to probabilities."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, side, side) float32 in 0..1 -> (N, classes) probabilities."""
        return self.network((images - self.mean) / self.std).softmax(dim=1)


@dataclass(frozen=True)
class Trained:
    """A trained classifier."""

    model: Classifier  # on the CPU, in eval mode
    classes: tuple[str, ...]  # their names
    side: int  # side of the images that the model reads, in pixels
    pack_side: int  # side to which images are brought before their central square is cut out, as in training

    @torch.no_grad()
    def probabilities(
        self, images: Iterable[NDArray[np.uint8]], *, device: torch.device, batch: int = 64
    ) -> Iterator[NDArray[np.float32]]:
        """Probabilities of the classes, (classes,), of each image of (pack_side, pack_side, 3) uint8."""
        model, start = self.model.to(device), (self.pack_side - self.side) // 2
        inside = slice(start, start + self.side)
        remaining = iter(images)
        while group := list(islice(remaining, batch)):
            pixels = torch.from_numpy(np.stack(group)[:, inside, inside]).permute(0, 3, 1, 2)
            yield from model(pixels.to(device).float() / 255).cpu().numpy()


def load_trained(path: str | Path) -> Trained:
    """Read a classifier from the results of a study; a `TriptychError` if it or its data is not there.

    `path` is `results/<run>/seed<n>`, or the weights in it, where the run is `supervised`,
    `grid/<architecture>-<augmentation>`, `fine_tune/percent<p>`, `probe/simclr` or `probe/random`.
    """
    given = Path(path).absolute()
    folder = given.parent if given.is_file() else given
    results = next((parent for parent in [folder, *folder.parents] if parent.name == "results"), None)
    if results is None:
        raise TriptychError(
            f"{folder}: not in the results of a study; name a folder such as results/supervised/seed0"
        )
    if not _is_classifier(folder):
        raise TriptychError(f"{given}: {_not_there(folder, results)}")
    metrics = _read(folder / "metrics.json")
    try:
        recipe, data = metrics["provenance"]["recipe"], metrics["provenance"]["data"]
    except KeyError as error:
        raise TriptychError(f"{folder / 'metrics.json'}: no training wrote it (it has no {error})") from None
    described = _read(results / "data" / data["name"] / "dataset.json")
    if not described["digest"].startswith(data["digest"]):
        raise TriptychError(
            f"{folder}: trained on another version of the data set '{data['name']}'; run the study again"
        )
    classes, side = tuple(described["classes"]), int(described["image_size"][0])
    network = _network(folder, recipe, results, len(classes), side)
    model = Classifier(network, described["mean"], described["std"]).eval()
    return Trained(model, classes, side, int(described.get("pack_size", described["image_size"])[0]))


def _is_classifier(folder: Path) -> bool:
    weights = ("model.safetensors", "classifier.safetensors")
    return (folder / "metrics.json").is_file() and any((folder / name).is_file() for name in weights)


def _not_there(folder: Path, results: Path) -> str:
    """What is wrong with a folder that is no classifier: names the nearest classifiers."""
    problem = "this is no trained classifier" if folder.exists() else "does not exist"
    for near in [folder, *folder.parents]:
        runs = (file.parent for file in near.rglob("metrics.json") if _is_classifier(file.parent))
        names = sorted((run.relative_to(near).as_posix() for run in runs), key=natural_order)
        if names:
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            return f"{problem}; in {near} there are {', '.join(names[:NAMED])}{more}"
        if near == results:
            break
    return f"{problem}; {results} has none yet"


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(file)
    except (OSError, ValueError) as error:
        raise TriptychError(
            f"{file}: cannot be read ({type(error).__name__}); name a folder of a study that has been run, "
            "such as results/supervised/seed0"
        ) from error
    return content


def _network(folder: Path, recipe: dict[str, Any], results: Path, classes: int, side: int) -> nn.Module:
    run = folder.relative_to(results)
    if run.parts[0] == "probe":
        origin = results / run.relative_to("probe")  # of the encoder
        pretraining = _read(origin / "metrics.json")["provenance"]["recipe"]
        encoder, features = build_encoder(pretraining["architecture"], side)
        linear = nn.Linear(features, classes)
        load_weights(encoder, _existing(origin / "encoder.safetensors"))
        load_weights(linear, _existing(folder / "classifier.safetensors"))
        return nn.Sequential(encoder, linear)
    weights = _existing(folder / "model.safetensors")
    architecture = recipe["architecture"]
    if run.parts[0] == "fine_tune":
        encoder, features = build_encoder(architecture, side)
        network: nn.Module = nn.Sequential(encoder, nn.Linear(features, classes))
    else:
        network = build_model(architecture["module"], classes, side, architecture["options"])
    load_weights(network, weights)
    return network


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise TriptychError(f"{file}: there are no such weights; name the folder of a trained classifier")
    return file
