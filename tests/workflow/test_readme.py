"""README's recipes, written to files as they stand there: their commands are planned, and run in part."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SNAKEMAKE, Study, copy_project
from PIL import Image

pytestmark = pytest.mark.slow

SECTION = (ROOT / "README.md").read_text().split("## Use your own")[1].split("\n## ")[0]
FILES = re.findall(r"`([\w./]+)`:\n\n```\w+\n(.*?)```", SECTION, flags=re.DOTALL)
COMMANDS = [line for line in SECTION.splitlines() if line.startswith("snakemake ")]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, original: Path) -> Study:
    """A checkout with README's files, a folder of images and a film."""
    folder = tmp_path_factory.mktemp("reader")
    copy_project(folder)
    for name, text in FILES:
        (folder / name).write_text(text)
    random = np.random.default_rng(0)
    for flower in ("daisy", "rose", "tulip"):
        for number in range(70):
            path = folder / f"flowers/{flower}/{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    shutil.copy(original / "results/scenes/orbit/film/film.mp4", folder / "desk.mp4")
    return Study(folder)


def run(reader: Study, *arguments: str) -> str:
    """Call Snakemake as a reader does, and expect success; what it prints."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(SNAKEMAKE), *arguments]
    done = subprocess.run(command, cwd=reader.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_readme_has_three_recipes() -> None:
    assert [name for name, _ in FILES] == ["flowers.yaml", "desk.yaml", "src/mynet.py", "mynet.yaml"]
    assert len(COMMANDS) == 3


@pytest.mark.parametrize(
    ("command", "planned", "not_planned"),
    zip(
        COMMANDS,
        ("pack_folder pretrain_simclr train_cell", "extract_frames train_radiance", "draw_shapes train_cell"),
        ("draw_shapes extract_frames", "train_cell film_orbit", "pretrain_simclr extract_frames"),
        strict=True,
    ),
)
def test_the_command_as_written_plans_the_part_that_uses_the_data(
    reader: Study, command: str, planned: str, not_planned: str
) -> None:
    done = run(reader, *shlex.split(command)[1:], "--dry-run")
    assert all(rule in done for rule in planned.split())
    assert not any(rule in done for rule in not_planned.split())


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("flowers.yaml", "results/probe/simclr/seed0/metrics.json"),
        ("desk.yaml", "results/scenes/desk/transforms.json"),
        ("mynet.yaml", "results/grid/mynet-baseline/seed0/metrics.json"),
    ],
)
def test_the_recipe_gives_a_result(reader: Study, file: str, target: str) -> None:
    """With the tests' tiny networks in place of the demo's small ones."""
    run(reader, target, "--cores", "2", "--configfile", "presets/test.yaml", file)
    assert json.loads((reader.folder / target).read_text())["provenance"]["versions"]["triptych"]
