"""`python -m triptych.view`: what is wrong is said in one line."""

import logging
import socket
from pathlib import Path

import pytest
import torch
from ball_field import write_ball_results

from triptych.view.__main__ import main
from triptych.view.scene import read_trained_scene
from triptych.view.server import check_address
from triptych.workflow.errors import TriptychError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command does to the log ends with the test."""
    monkeypatch.setattr(logging.getLogger("triptych"), "handlers", [])


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_results(tmp_path_factory.mktemp("scenes") / "ball")


def complaint(folder: Path) -> str:
    with pytest.raises(TriptychError) as caught:
        read_trained_scene(folder, device=CPU)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_trained_scene_is_read(ball: Path) -> None:
    scene = read_trained_scene(ball, device=CPU)
    assert scene.name == "ball"
    assert len(scene.images) == 8
    assert scene.cloud is not None
    assert scene.cloud.points.shape == (200, 3)
    assert (scene.cloud.colours == [255, 255, 255]).all()


def test_an_unknown_scene_names_those_that_are_there(ball: Path) -> None:
    assert complaint(ball.parent / "fox").endswith("there is no such scene; trained scenes there: ball")
    assert complaint(ball / "nowhere").endswith("no scene is trained there yet")


def test_the_bare_name_of_a_trained_scene_is_answered_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "results/scenes/fox/radiance/field.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    monkeypatch.chdir(tmp_path)
    assert complaint(Path("fox")).endswith("there is no such scene; there is results/scenes/fox")


def test_an_untrained_scene_says_how_to_train_it(ball: Path, tmp_path: Path) -> None:
    (tmp_path / "fox").mkdir()
    (tmp_path / "fox/transforms.json").write_text("{}")
    assert "snakemake --cores all" in complaint(tmp_path / "fox")
    assert "fox/radiance/field.safetensors`" in complaint(tmp_path / "fox")


def test_a_broken_cloud_is_named(tmp_path: Path) -> None:
    folder = write_ball_results(tmp_path / "ball")
    (folder / "sparse.ply").write_bytes(b"ply\nnonsense")
    assert "sparse.ply: not a coloured point cloud" in complaint(folder)
    (folder / "sparse.ply").unlink()
    assert read_trained_scene(folder, device=CPU).cloud is None


def test_an_address_in_use_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TriptychError, match=r"cannot be used .*--port"):
            check_address("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(TriptychError, match="no such address"):
        check_address("no.such.host.invalid", 8080)
    check_address("127.0.0.1", 0)


def test_the_exit_code_of_a_mistake_is_1(ball: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ball.parent / "fox")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    (ball / "path.json").write_text("{}")
    assert main([str(ball), "--camera-path", str(ball / "path.json")]) == 1
    assert "not a camera path" in capsys.readouterr().err


def test_it_can_be_asked_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--help"])
    assert done.value.code == 0
    shown = capsys.readouterr().out
    assert "ssh -L" in shown and "127.0.0.1" in shown


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--max-width", "0"], "argument --max-width: 0 must be between 16 and 10000"),
        (["--min-side", "-1"], "argument --min-side: -1 must be between 8 and 10000"),
        (["--fps", "0"], "argument --fps: 0 must be between 0.1 and 1000"),
    ],
)
def test_options_out_of_range_are_refused(
    ball: Path, option: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(ball), *option])
    assert left.value.code == 2 and message in capsys.readouterr().err
