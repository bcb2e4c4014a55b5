"""A trained classifier is used outside of its study: predictions of a folder, plain PyTorch, ONNX."""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colour_experiments import CLASSIFIER, NETWORK, PROBE, experiment, save_colours
from PIL import Image
from torch import nn

from triptych import export_onnx, predict
from triptych.classify.classifier import train_classifier
from triptych.classify.trained import Classifier, Trained, load_trained
from triptych.data.packed import load_packed
from triptych.experiments.experiment import load_weights, save_weights
from triptych.ssl.encoder import build_encoder
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT

PAGE = SOURCE_ROOT.parent / "docs/using_results.md"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a trained classifier of three colours, and two classifiers that are not trained."""
    results = tmp_path_factory.mktemp("study") / "results"
    data = save_colours(results / "data/colours")
    train_classifier(
        experiment(
            results / "supervised/seed0",
            data,
            {**CLASSIFIER, "epochs": 8, "augmentation": {"method": "none"}},
        )
    )
    dataset = load_packed(data)
    for run, recipe in (
        ("simclr", PROBE),
        ("probe/simclr", {}),
        ("fine_tune/percent1", {**PROBE, "percent": 1}),
    ):
        made = experiment(results / run / "seed0", data, {"device": "cpu", "precision": "float32", **recipe})
        made.write_metrics({}, dataset, 1.0)
    encoder, features = build_encoder(NETWORK, 16)
    linear = nn.Linear(features, 3)
    save_weights(encoder, results / "simclr/seed0/encoder.safetensors")
    save_weights(linear, results / "probe/simclr/seed0/classifier.safetensors")
    save_weights(nn.Sequential(encoder, linear), results / "fine_tune/percent1/seed0/model.safetensors")
    return results.parent


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Test images of the study as files, one in a sub-folder; a damaged file, and one of another type."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name, channel in (("a", 0), ("b", 1), ("more/c", 2)):
        pixels = np.random.default_rng(channel).integers(0, 120, (16, 16, 3))
        pixels[..., channel] += 100
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "notes.txt").write_text("x")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_image_of_a_folder_has_a_row_and_bad_files_are_named(
    study: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out/predictions.csv"
    model = study / "results/supervised/seed0"
    assert predict.main([str(model), str(photos), "--output", str(target), "--device", "cpu"]) == 0
    found = {row["file"]: row for row in rows(target)}
    assert list(found) == ["a.png", "b.png", "bad.jpg", "more/c.png"]
    assert [found[name]["class"] for name in ("a.png", "b.png", "more/c.png")] == ["red", "green", "blue"]
    assert all(1 / 3 < float(row["probability"]) <= 1 for row in found.values() if row["class"])
    assert found["bad.jpg"]["class"] == "" and found["bad.jpg"]["problem"] == "damaged or of an unknown type"
    line = capsys.readouterr().out
    assert "3 images classified; 1 cannot be read: bad.jpg (damaged or of an unknown type)" in line
    assert "1 of other types skipped: notes.txt" in line


def test_predictions_agree_with_those_of_the_study(study: Path) -> None:
    folder = study / "results/supervised/seed0"
    trained, dataset = load_trained(folder / "model.safetensors"), load_packed(study / "results/data/colours")
    shares = np.stack(list(trained.probabilities(dataset.test_images, device=torch.device("cpu"), batch=7)))
    assert (shares.argmax(axis=1) == np.load(folder / "predictions.npy")).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("run", ["probe/simclr", "fine_tune/percent1"])
def test_classifiers_on_an_encoder_are_read_too(study: Path, run: str) -> None:
    trained = load_trained(study / "results" / run / "seed0")
    expected = load_trained(study / "results/fine_tune/percent1/seed0")
    images = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(trained.model(images), expected.model(images))
    assert trained.classes == ("red", "green", "blue") and trained.side == trained.pack_side == 16


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["results/supervised/seed7", "photos"], "seed7: does not exist; in "),
        (["results/supervised/seed7", "photos"], "results/supervised there are seed0\n"),
        (["results/supervised", "photos"], "this is no trained classifier; in "),
        (
            ["results/simclr/seed0", "photos"],
            "results there are fine_tune/percent1/seed0, probe/simclr/seed0, supervised/seed0\n",
        ),
        (["results/supervise/seed0", "photos"], "results/supervise/seed0: does not exist; in "),
        (["photos", "photos"], "photos: not in the results of a study"),
        (["results/supervised/seed0", "photos", "--device", "gpu"], "device: 'gpu' is not available"),
        (["results/supervised/seed0", "photos", "--output", "photos"], "photos: Is a directory"),
        (["results/supervised/seed0", "nowhere"], "nowhere: there is no such folder"),
        (["results/supervised/seed0", "empty"], "empty: there are no images of the types .jpg"),
        (["results/supervised/seed0", "damaged"], "damaged: none of 1 images can be read"),
    ],
)
def test_each_mistake_is_one_line(
    study: Path,
    photos: Path,
    arguments: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(photos.parent)
    Path("results").symlink_to(study / "results")
    Path("empty").mkdir()
    Path("damaged").mkdir()
    shutil.copy(photos / "bad.jpg", "damaged")
    assert predict.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and expected in error and error.count("\n") == 1
    assert not Path("predictions.csv").exists()


def test_a_model_of_other_data_is_refused(study: Path, tmp_path: Path) -> None:
    results = shutil.copytree(study / "results", tmp_path / "results")
    described = results / "data/colours/dataset.json"
    described.write_text(re.sub(r'"digest": "....', '"digest": "zzzz', described.read_text()))
    with pytest.raises(TriptychError, match="trained on another version of the data set 'colours'"):
        load_trained(results / "supervised/seed0")


@pytest.mark.slow
def test_onnx_gives_the_probabilities_of_pytorch(study: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    target = tmp_path / "model.onnx"
    assert export_onnx.main([str(study / "results/supervised/seed0"), str(target)]) == 0
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    images = torch.rand(5, 3, 16, 16)  # another number of images than it was exported with
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = load_trained(study / "results/supervised/seed0").model(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["red", "green", "blue"]'
    assert not list(tmp_path.glob("*.data")), "one file"


@pytest.mark.slow
def test_a_vit_is_exported_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    results = tmp_path / "results"
    options = {"dim": 16, "depth": 2, "heads": 2, "mlp": 16, "patch": 4}
    recipe = {
        **CLASSIFIER,
        "architecture": {"module": "triptych.models.vit", "options": options},
        "epochs": 1,
    }
    train_classifier(
        experiment(results / "grid/vit-baseline/seed0", save_colours(results / "data/colours"), recipe)
    )
    assert export_onnx.export_onnx(results / "grid/vit-baseline/seed0", tmp_path / "vit.onnx") < 1e-5


def test_the_lines_of_the_documentation_load_the_weights(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(study)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    (code,) = (block for block in blocks if "safetensors" in block)
    code = code.replace("studies/flowers/", "").replace("data/flowers", "data/colours")
    found: dict[str, Any] = {}
    exec(code.replace("grid/resnet18-baseline", "supervised"), found)
    of_encoder = code.replace("grid/resnet18-baseline", "simclr").replace("model.safe", "encoder.safe")
    encoder: dict[str, Any] = {}
    exec(of_encoder.replace('len(data["classes"])', "0"), encoder)
    images = torch.rand(2, 3, 16, 16)
    expected = load_trained(study / "results/supervised/seed0").model
    with torch.no_grad():
        shares = found["model"](found["normalise"](images)).softmax(dim=1)
        torch.testing.assert_close(shares, expected(images))
        assert encoder["model"](found["normalise"](images)).shape == (2, 64)


def test_weights_of_another_network_are_refused_in_one_line(study: Path) -> None:
    wider, _ = build_encoder({**NETWORK, "options": {"width": 16}}, 16)
    expected = (
        r"encoder\.safetensors: the weights do not fit .* is \[8, .*\] in the file and \[16, .*\] in the "
    )
    with pytest.raises(TriptychError, match=expected):
        load_weights(wider, study / "results/simclr/seed0/encoder.safetensors")


@pytest.mark.slow
def test_a_network_that_fixes_the_number_of_images_is_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")

    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean(dim=(2, 3)) + torch.zeros(1, 3).expand(len(x), 3)

    trained = Trained(Classifier(Fixed(), [0.5] * 3, [0.5] * 3).eval(), ("a", "b", "c"), 16, 16)
    monkeypatch.setattr(export_onnx, "load_trained", lambda _: trained)
    with pytest.raises(TriptychError, match=r"write x\.shape\[0\] instead of len\(x\)"):
        export_onnx.export_onnx("mine", tmp_path / "fixed.onnx")
    assert not (tmp_path / "fixed.onnx").exists()
