"""Code in README and the documents: configs are valid, commands and options exist, Python runs.

`<!-- illustration -->` on the line before a block exempts it.
"""

import copy
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import trimesh
import yaml
from snakemake.cli import get_argument_parser
from snakemake.utils import update_config

from triptych.config.study import Study
from triptych.config.validation import validate_config

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "config/README.md")),
    ROOT / "study/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"(?m)^(.*)\n\n?( *)```(\w+)\n((?:.*\n)*?)\2```")
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SNAKEMAKE_OPTIONS = {option for action in get_argument_parser()._actions for option in action.option_strings}
# Programs of others, and of the shell.
OTHERS = {
    *(
        "source",
        "export",
        "git",
        "cd",
        "sudo",
        "ssh",
        "pip",
        "podman",
        "apptainer",
        "tensorboard",
        "nano",
        "sinfo",
        "sbatch",
    ),
    *("ns-train", "opensplat", "brush", "colmap", "python3", "apt-get", "moto_server"),
}
RUN_ELSEWHERE = {"load_state_dict": "test_classify_predict.py", "import timm": "test_ssl_encoder.py"}
OUTPUTS = [
    re.compile(re.sub(r"\\\{[^}]*\\\}", r"[^/]+", re.escape(path)))
    for rules in sorted((ROOT / "rules").glob("*.smk"))
    for path in re.findall(r'"(results/[^"]+)"', rules.read_text())
]


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: str
    language: str
    code: str


def blocks(language: str) -> Iterator[Block]:
    for page in PAGES:
        for before, indent, found, code in BLOCK.findall(page.read_text(encoding="utf-8")):
            if found == language and "<!-- illustration -->" not in before:
                lines = [line.removeprefix(indent) for line in code.splitlines()]
                yield Block(page.relative_to(ROOT).as_posix(), language, "\n".join(lines))


def name(block: Block) -> str:
    return f"{block.page}: {' '.join(block.code.split())[:40]}"


def merged(*changes: dict[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    for change in changes:
        update_config(config, copy.deepcopy(change))
    return config


def definitions_before(block: Block) -> list[dict[str, Any]]:
    """What earlier blocks of the page define, such as an architecture that this one uses."""
    tables = ("architectures", "augmentations", "datasets", "scenes")
    earlier = []
    for other in blocks("yaml"):
        if other == block:
            return earlier
        if other.page == block.page:
            content = yaml.safe_load(other.code)
            earlier.append({table: content[table] for table in tables if table in content})
    return earlier


@pytest.mark.parametrize("block", blocks("yaml"), ids=name)
def test_yaml_is_a_valid_config_or_profile(block: Block) -> None:
    content = yaml.safe_load(block.code)
    if content.keys() <= Study.model_fields.keys():
        validate_config(merged(*definitions_before(block), content))
    else:
        options = {action.dest.replace("_", "-") for action in get_argument_parser()._actions}
        storage = {key for key in content if key.startswith(("slurm-", "storage-", "kubernetes-"))}
        assert content.keys() - storage <= options, "neither a config nor a profile"


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a block in words, without comments and variables of the environment."""
    for line in block.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((n for n, word in enumerate(words) if word in ("&&", "|", ";")), len(words))
            command, words = words[:end], words[end + 1 :]
            while command and (command[0] in ("nice", "sudo") or re.match(r"\w+=", command[0])):
                command = command[1:]
            if command:
                yield command


@pytest.mark.parametrize("block", blocks("sh"), ids=name)
def test_commands_and_their_options_exist(block: Block) -> None:
    for program, *arguments in commands(block):
        if program == "make":
            check_make(arguments)
        elif program == "snakemake":
            check_snakemake(arguments)
        elif Path(program).name == "python" and arguments[0] == "-m":
            check_module(*arguments[1:])
        elif program == "python" and arguments[0] == "-c":
            compile(arguments[1], program, "exec")
        elif program == "python":
            assert (ROOT / arguments[0]).is_file(), arguments[0]
        else:
            assert program in OTHERS or Path(program).name in OTHERS, program


def check_make(arguments: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for argument in arguments:
        variable, equals, _ = argument.partition("=")
        known = rf"^{variable} \?=" if equals else rf"^{re.escape(argument)}:"
        assert re.search(known, makefile, flags=re.MULTILINE), argument


def check_snakemake(arguments: list[str]) -> None:
    options = get_argument_parser().parse_args(
        [word for word in arguments if word not in ("TARGETS", "...", "--cores", "all")]
    )
    for target in options.targets or ():
        assert any(output.match(str(target)) for output in OUTPUTS), target
    for file in options.configfile or ():
        assert (ROOT / file).is_file() or Path(file).parent == Path(), file
    if options.workflow_profile:
        assert (ROOT / options.workflow_profile / "config.yaml").is_file()


def check_module(module: str, *arguments: str) -> None:
    if module in ("pip", "venv", "pytest"):
        return
    path = next(
        base.joinpath(*module.split("."))
        for base in (ROOT / "src", ROOT)
        if (base / module.split(".")[0]).is_dir()
    )
    file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__main__.py"
    source = file.read_text()
    for option in (word for word in arguments if word.startswith("--")):
        known = option in SNAKEMAKE_OPTIONS | {"--help"} or f'"{option}"' in source
        assert known, f"{module} has no {option}"


@pytest.mark.parametrize("block", blocks("python"), ids=name)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for sign, test in RUN_ELSEWHERE.items():
        if sign in block.code:
            pytest.skip(f"tests/unit/{test} runs it")
    make_results(tmp_path)
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(block.code, found)
    if "build" in found:
        network = found["build"](10, image_size=32)
        assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    if "augment" in found:
        generator, labels = torch.Generator().manual_seed(0), torch.eye(10)[:4]
        images, targets = found["augment"](torch.rand(4, 3, 32, 32), labels, generator=generator)
        assert images.shape == (4, 3, 32, 32) and torch.equal(targets, labels)


def make_results(folder: Path) -> None:
    """Results that the pages read: features of ten images, and a mesh."""
    images, export = (
        folder / "results" / name for name in ("nearest_images/simclr/seed0", "scenes/orbit/export")
    )
    images.mkdir(parents=True)
    export.mkdir(parents=True)
    np.save(images / "features.npy", np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32))
    files = pd.DataFrame({"file": [f"IMG_{number:04}.jpg" for number in range(36, 46)]})
    files.to_csv(images / "files.csv", index=False)
    trimesh.creation.box().export(export / "mesh.glb")
