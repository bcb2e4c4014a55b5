"""With images or scenes of one's own, only the parts that use them are run, and one line says so."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from changed_config import CONFIG, ROOT, checked

from triptych.config.parts import choose_parts, unused_definitions
from triptych.config.validation import typed
from triptych.workflow.errors import TriptychError

FLOWERS = {"flowers": {"source": "folder", "path": "/data/flowers"}}
DESK = {"desk": {"source": "video", "path": "/data/desk.mp4"}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, ["self_supervision", "grid", "reconstruction"]),
        ({"self_supervision": {"dataset": "shapes"}}, ["self_supervision", "grid", "reconstruction"]),
        ({"datasets": FLOWERS, "grid": {"dataset": "flowers"}}, ["grid"]),
        (
            {"datasets": FLOWERS, "grid": {"dataset": "flowers"}, "self_supervision": {"dataset": "flowers"}},
            ["self_supervision", "grid"],
        ),
        ({"scenes": DESK, "reconstruction": {"scenes": ["orbit", "desk"]}}, ["reconstruction"]),
        (
            {
                "datasets": FLOWERS,
                "grid": {"dataset": "flowers"},
                "scenes": DESK,
                "reconstruction": {"scenes": ["desk"]},
            },
            ["grid", "reconstruction"],
        ),
        ({"datasets": FLOWERS, "parts": ["reconstruction"]}, ["reconstruction"]),
    ],
)
def test_the_parts_are_those_that_use_own_data(changes: dict[str, Any], parts: list[str]) -> None:
    chosen, line = choose_parts(checked(**changes))
    assert chosen == parts
    left_out = {"self_supervision", "grid", "reconstruction"} - set(parts)
    if "parts" in changes or not left_out:
        assert line is None
    else:
        assert line is not None and all(part in line for part in left_out)
        assert "parts: [...] in the config" in line


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"datasets": FLOWERS},
            "datasets.flowers is used by no part; name it in self_supervision.dataset or",
        ),
        ({"scenes": DESK}, "scenes.desk is used by no part; name it in reconstruction.scenes"),
    ],
)
def test_own_data_that_no_part_uses_is_an_error(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(TriptychError, match="config: ") as caught:
        choose_parts(checked(**changes))
    assert expected in str(caught.value)


def test_values_of_the_command_line_have_the_types_of_yaml() -> None:
    """Snakemake reads `--config 'grid={seeds: [0]}'` as text inside of lists and mappings."""
    given = {"seeds": ["0", "1"], "leave_out": [], "recipe": "modern", "base": {"flip": "0.5", "x": "null"}}
    assert typed(given) == {
        "seeds": [0, 1],
        "leave_out": [],
        "recipe": "modern",
        "base": {"flip": 0.5, "x": None},
    }


def test_definitions_of_ones_own_that_nothing_uses_are_named() -> None:
    own = checked(
        datasets={**FLOWERS, "birds": {"source": "folder", "path": "/data/birds"}},
        grid={"dataset": "flowers", "architectures": ["resnet18"]},
        scenes={**DESK, "orbit": {}},
        architectures={"mynet": {"module": "mynet"}, "resnet18": {"recipes": {"fast": {"epochs": 5}}}},
        augmentations={"blur": {"module": "blur"}},
    )
    places = {
        line.split(" (")[0]: line.rpartition("must be named in ")[2]
        for line in unused_definitions(own, CONFIG)
    }
    assert places == {
        "not used: datasets.birds": "self_supervision.dataset or grid.dataset)",
        "not used: architectures.mynet": "grid.architectures or self_supervision.architecture)",
        "not used: augmentations.blur": "grid.augmentations or self_supervision.supervised.augmentation)",
        "not used: scenes.desk": "reconstruction.scenes)",
        "not used: architectures.resnet18.recipes.fast": "grid.recipe)",
    }


@pytest.mark.parametrize("preset", sorted((ROOT / "presets").glob("*.yaml")), ids=str)
def test_presets_define_nothing_in_vain(preset: Path) -> None:
    assert unused_definitions(checked(**yaml.safe_load(preset.read_text())), CONFIG) == []
