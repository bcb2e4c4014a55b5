"""Features of a whole data set, computed once and kept: whatever is asked of an encoder reads these."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path
from triptych.workflow.tensors import write_tensors


@dataclass(frozen=True)
class LabelledFeatures:
    """Features (N, D) float32 and labels (N,) int64, in the order of the data set's images."""

    features: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> "LabelledFeatures":
        """The examples at (M,) int64 indices."""
        return LabelledFeatures(self.features[indices], self.labels[indices])


def save_features(examples: LabelledFeatures, target: Path) -> None:
    """Write `features` and `labels` as safetensors.

    In float32, although 50,000 times 512 then take 102 MB: float16 would flush the features of a nearly
    dead channel to zero, and standardising magnifies exactly those.
    """
    tensors = {"features": examples.features.cpu().contiguous(), "labels": examples.labels.cpu()}
    with atomic_path(target) as temporary:
        write_tensors(temporary, tensors)


def load_features(source: str | Path) -> LabelledFeatures:
    """Read what `save_features` wrote, onto the CPU.

    Raises:
        TriptychError: the file is damaged or something else.
    """
    try:
        tensors = load_file(source)
        return LabelledFeatures(tensors["features"], tensors["labels"])
    except (OSError, SafetensorError, KeyError) as error:
        raise TriptychError(
            f"{source}: cannot be read as features ({error}); delete the file and run again"
        ) from error
