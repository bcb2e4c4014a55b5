"""A training that was interrupted has the result of one that was not."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ball_training import SHORT, assert_same, changed, run, weights
from sphere_scene import write_ball_scene

from triptych.radiance.trainer import Trainer
from triptych.scenes.scene import Scene, read_scene
from triptych.training.checkpoint import Checkpoints


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return read_scene(write_ball_scene(tmp_path_factory.mktemp("ball") / "scene"))


class Killed(BaseException):
    """Stands for the end of the process."""


class KilledCheckpoints(Checkpoints):
    """Saves whenever asked; the process ends after the second time."""

    saves = 0

    def save(self, step: int, state: dict[str, Any]) -> None:
        super().save(step, state)
        self.saves += 1
        if self.saves == 2:
            raise Killed


def test_an_interrupted_run_resumes_to_the_same_bits(scene: Scene, tmp_path: Path) -> None:
    expected = weights(run(scene, SHORT, tmp_path / "whole"))
    interrupted = tmp_path / "interrupted"
    with pytest.raises(Killed):
        run(scene, SHORT, interrupted, KilledCheckpoints(interrupted / "checkpoints", "same", every=0))
    saved = sorted(path.name[-6:] for path in (interrupted / "checkpoints").iterdir())
    assert saved == ["010.pt", "020.pt"]
    resumed = weights(run(scene, SHORT, interrupted))
    assert resumed["density_ema"].any()
    assert_same(resumed, expected)
    assert len((interrupted / "history.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("kill_after", [0.0, 0.3])
def test_a_killed_run_resumes_to_the_same_bits(scene: Scene, tmp_path: Path, kill_after: float) -> None:
    longer = changed(SHORT, steps=500)
    killed, checkpoints = tmp_path / "killed", tmp_path / "killed/checkpoints"
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "import torch; torch.set_num_threads(2)\n"
        "from ball_training import SHORT, Checkpoints, changed, run\n"
        "from triptych.scenes.scene import read_scene\n"
        "folder = Path(sys.argv[1])\n"
        "run(read_scene(sys.argv[2]), changed(SHORT, steps=500), folder,"
        " Checkpoints(folder / 'checkpoints', 'same', every=0))"
    )
    transforms = scene.files[0].parents[1] / "transforms.json"
    process = subprocess.Popen([sys.executable, "-c", script, killed, transforms, Path(__file__).parent])
    while process.poll() is None and not list(checkpoints.glob("step-*.pt")):
        time.sleep(0.01)
    time.sleep(kill_after)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL  # it had not finished
    assert not (killed / "history.csv").exists()
    assert_same(weights(run(scene, longer, killed)), weights(run(scene, longer, tmp_path / "whole")))


def test_another_seed_gives_another_field(scene: Scene, tmp_path: Path) -> None:
    short = changed(SHORT, steps=3)
    one, same, other = (
        weights(run(scene, changed(short, seed=seed), tmp_path / str(n))) for n, seed in enumerate((0, 0, 1))
    )
    key = "grid.tables.0"
    assert torch.equal(one[key], same[key])
    assert not torch.equal(one[key], other[key])


def test_warming_up_changes_nothing(scene: Scene) -> None:
    cold, warm = Trainer(scene, SHORT), Trainer(scene, SHORT)
    warm.warm_up()
    for training in (cold, warm):
        for _ in range(5):
            training.advance()
    assert_same(warm.model.field.state_dict(), cold.model.field.state_dict())
