"""Config values that would mean something else to YAML, Snakemake, a shell or a template."""

import time
from pathlib import Path
from typing import Any

import changed_config
import pytest
from changed_config import checked, merged

from triptych.config.config_files import problem_of


def complaint(**changes: Any) -> str:
    """The error about a config with these keys."""
    return changed_config.complaint(merged(**changes))


@pytest.mark.parametrize(
    "line",
    [
        "a{level}: &a{level} [{nine}]",
        "a{level}: &a{level} {{k: [{nine}]}}",
        "a{level}: &a{level} {{<<: [{nine}]}}",
    ],
)
def test_a_bomb_of_aliases_is_refused_at_once(tmp_path: Path, line: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [line.format(level=n, nine=", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 40)]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    began = time.process_time()
    assert "its aliases (&, *) stand for more than 100,000 values; write out what is meant" in (
        problem_of(tmp_path / "mine.yaml") or ""
    )
    assert time.process_time() - began < 1


NAMES = [
    "desk\n",
    "Desk",
    "../desk",
    "de sk",
    "de|sk",
    "desk{seed}",
    "$(id)",
    "`id`",
    "<b>",
    "\u202edesk",
    "",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_scenes_data_sets_and_networks_are_plain(name: str) -> None:
    assert "must be a name of small letters" in complaint(scenes={name: {"source": "orbit"}})
    assert "must be a name of small letters" in complaint(datasets={name: {"source": "shapes"}})
    assert "must be a name of small letters" in complaint(architectures={name: {"module": "mynet"}})


@pytest.mark.parametrize(
    "module",
    ["/tmp/evil", "..evil", "evil.py\n", "a/b", "a b", "os;id", "", ".", "a.", "1a", "triptych/models/vit"],
)
def test_a_module_is_named_with_dots(module: str) -> None:
    assert "must be a module under src/" in complaint(architectures={"mine": {"module": module}})
    assert "must be a module under src/" in complaint(augmentations={"mine": {"module": module}})


@pytest.mark.parametrize("path", ["/data/{scene}.json", "/data/{ x , .* }/a.json", "/d{seed}/a", "/d/<b>"])
def test_inputs_of_jobs_have_no_variables_of_snakemake(path: str) -> None:
    assert "as variables; rename" in complaint(scenes={"desk": {"source": "orbit", "reference": path}})
    assert "as variables" in complaint(scenes={"desk": {"source": "orbit", "flythrough": {"path": path}}})
    assert "as variables" in complaint(datasets={"mine": {"source": "archive", "path": path}})


@pytest.mark.parametrize(
    "path", ["/data/a\nb", "/data/\x00", "/data/\x1b[2J", "/data/\ud800", "/data/\u202eb"]
)
def test_paths_are_one_line_of_text(path: str) -> None:
    assert "not text" in complaint(scenes={"desk": {"source": "folder", "path": path}})


def test_other_characters_of_shells_and_templates_are_part_of_a_path() -> None:
    path = "/data/-a b;*[x]?'\"`id`$(id) %s {{ x } <b> {seed}"
    for source in ("folder", "video"):
        config = checked(scenes={"desk": {"source": source, "path": path}})
        assert config["scenes"]["desk"]["path"] == path


def test_passwords_of_mirrors_stay_out_of_messages() -> None:
    for mirrors in ("https://me:s3cret@example.org/a?token=s3cret", ["ftp://me:s3cret@example.org/a"]):
        message = complaint(datasets={"cifar10": {"source": "cifar10", "mirrors": mirrors}})
        assert "s3cret" not in message and "mirrors" in message
