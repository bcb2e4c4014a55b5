"""`python -m triptych.export_onnx MODEL FILE`: a trained classifier as ONNX, for other programs."""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch

from triptych.classify.trained import load_trained
from triptych.workflow.command import run_command
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # largest difference between probabilities of ONNX Runtime and of PyTorch


def export_onnx(model: str | Path, target: str | Path) -> float:
    """Write a classifier of a study (see `load_trained`) as ONNX; return its largest difference from PyTorch.

    Input `images`: (N, 3, side, side) float32 in 0..1, RGB; the normalisation is part of the model. Output
    `probabilities`: (N, classes), compared on random images. The names of the classes are in the model's
    metadata, as JSON. Raises `TriptychError` if the classifier cannot be read, a package is missing, or the
    results differ.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise TriptychError(f"{', '.join(missing)} must be installed: pip install 'triptych[onnx]'")
    import onnx
    import onnxruntime

    trained = load_trained(model)
    images = torch.rand(3, 3, trained.side, trained.side, generator=torch.Generator().manual_seed(0))
    with atomic_path(target) as temporary:
        torch.onnx.export(
            trained.model,
            (images[:2],),
            temporary,
            input_names=["images"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            external_data=False,
            verbose=False,
        )
        exported = onnx.load(temporary)
        onnx.helper.set_model_props(exported, {"classes": json.dumps(trained.classes)})
        onnx.save(exported, temporary)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        if isinstance(session.get_inputs()[0].shape[0], int):
            raise TriptychError(
                f"{model}: its network fixes the number of images when it is exported; write x.shape[0] "
                "instead of len(x) in its forward"
            )
        (found,) = session.run(None, {"images": images.numpy()})
        with torch.no_grad():
            difference = float(np.abs(found - trained.model(images).numpy()).max())
        if not difference <= TOLERANCE:
            raise TriptychError(
                f"{model}: ONNX Runtime's probabilities differ from PyTorch's by {difference:.2g}, "
                "so nothing is written"
            )
    return difference


def main(arguments: list[str] | None = None) -> int:
    """Write the file; the exit code is 1 for a problem the user can solve."""
    parser = argparse.ArgumentParser(
        prog="python -m triptych.export_onnx", description="Export a classifier as ONNX."
    )
    parser.add_argument("model", help="results/RUN/seedN of a study, such as results/supervised/seed0")
    parser.add_argument("file", help="the .onnx file")

    def run(chosen: argparse.Namespace) -> None:
        difference = export_onnx(chosen.model, chosen.file)
        print(f"{chosen.file}: probabilities differ from PyTorch's by at most {difference:.1g}")

    return run_command(parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
