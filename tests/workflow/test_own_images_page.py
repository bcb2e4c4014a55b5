"""A study of one's own images in a folder of its own: its parts, its page, its messages."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import SNAKEMAKE, copy_project
from PIL import Image

pytestmark = pytest.mark.slow

COUNTS = {"normal": 40, "benign": 12, "rare": 6}
SMALL = {"epochs": 1, "batch_size": 16, "warmup_epochs": 0}
CONFIG = {
    "compute": {"threads": 1, "gpus": 0},
    "datasets": {"tissue": {"source": "folder", "path": "images", "image_size": 16}},
    "grid": {"dataset": "tissue", "architectures": ["resnet18"], "augmentations": ["baseline"]},
    "architectures": {"resnet18": {"options": {"width": 8}, "recipes": {"modern": SMALL}}},
}


def snakemake(caller: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake from another folder than the project's and the study's."""
    command = [SNAKEMAKE, "--snakefile", caller / "project/Snakefile", "--cores", "1", "--nocolor"]
    command += ["--directory", "study", "--configfile", "mine.yaml"]
    return subprocess.run([*command, *arguments], cwd=caller, capture_output=True, text=True)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the project, images, and a config that names them by a relative path."""
    folder, random = tmp_path_factory.mktemp("caller"), np.random.default_rng(0)
    copy_project(folder / "project")
    for name, count in COUNTS.items():
        (folder / "images/train" / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"images/train/{name}/{index}.png")
    (folder / "images/train/rare/notes.txt").write_text("x")
    (folder / "mine.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


@pytest.fixture(scope="module")
def finished(caller: Path) -> str:
    """What Snakemake prints; the seed is given on the command line."""
    done = snakemake(caller, "--config", "grid={seeds: [0]}")
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout + done.stderr


def test_only_the_part_that_uses_the_images_is_run_and_that_is_said(caller: Path, finished: str) -> None:
    assert (
        "triptych: not run, as your config names no data of yours for them: self_supervision, recon"
        in finished
    )
    results = caller / "study/results"
    assert not (results / "simclr").exists() and not (results / "scenes").exists()
    assert (results / "grid/resnet18-baseline/seed0/metrics.json").exists()
    assert f"triptych: the report is at {(results / 'report/index.html').as_uri()}" in finished


def test_the_page_shows_what_was_found_and_nothing_published(caller: Path, finished: str) -> None:
    page = (caller / "study/results/report/index.html").read_text()
    shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main")[1]))
    shown = shown.split("Where every number comes from")[0]
    assert "“tissue”: 3 classes, 46 training, 12 test images" in shown and "notes.txt" in shown
    assert "Chance level" in shown and "Balanced accuracy" in shown and "Accuracy by class" in shown
    for word in ("ublished", "CIFAR", "not run", "op-5", "Parameters by part"):
        assert word not in shown, word
    tables = {path.stem for path in (caller / "study/results/tables").iterdir()}
    assert tables == {f"grid_{name}" for name in ("top1", "balanced", "classes", "differences", "cost")}


def test_a_finished_study_has_nothing_to_do(caller: Path, finished: str) -> None:
    again = snakemake(caller, "--config", "grid={seeds: [0]}", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_messages_name_files_by_absolute_paths(caller: Path, finished: str) -> None:
    bad = caller / "images/train/rare/bad.png"
    bad.write_bytes(b"no picture")
    try:
        failed = snakemake(caller, "--config", "grid={seeds: [0]}")
    finally:
        bad.unlink()
    assert failed.returncode != 0
    assert f"(log: {caller / 'study/results/logs/data/tissue.log'})" in failed.stdout + failed.stderr


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("grid={seeds: [0.5]}", "grid.seeds[0] is 0.5 but must be of type integer"),
        ("grid={validation: }", "grid.validation is null but must be"),
    ],
)
def test_values_of_the_command_line_are_checked_before_anything_runs(
    caller: Path, value: str, expected: str
) -> None:
    refused = snakemake(caller, "--dry-run", "--config", value)
    assert refused.returncode != 0 and expected in refused.stdout + refused.stderr


def test_an_unreadable_config_file_is_one_line(caller: Path) -> None:
    (caller / "broken.yaml").write_text("grid:\n\tseeds: [0]\n")
    refused = snakemake(caller, "--dry-run", "--configfile", "broken.yaml")
    lines = [line for line in (refused.stdout + refused.stderr).splitlines() if "triptych:" in line]
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert lines == [
        f"triptych: {caller / 'broken.yaml'}: line 2, column 1: while scanning for the next token found "
        "character '\\t' that cannot start any token; indent with spaces, not with tabs"
    ]
