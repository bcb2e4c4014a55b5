"""Which parts of a study are run: with data of one's own, only the parts that use it."""

from collections.abc import Mapping
from typing import Any

from triptych.config.cells import used_names
from triptych.config.study import PARTS
from triptych.workflow.errors import TriptychError

Config = Mapping[str, Any]

USERS = {
    "datasets": "self_supervision.dataset or grid.dataset",
    "architectures": "grid.architectures or self_supervision.architecture",
    "augmentations": "grid.augmentations or self_supervision.supervised.augmentation",
    "scenes": "reconstruction.scenes",
}


def own_data(config: Config) -> dict[str, list[str]]:
    """Names of the data sets and scenes of one's own that are defined, by section."""
    return {
        "datasets": [name for name, data in config["datasets"].items() if data["source"] == "folder"],
        "scenes": [name for name, scene in config["scenes"].items() if scene["source"] != "orbit"],
    }


def choose_parts(config: Config) -> tuple[list[str], str | None]:
    """The parts that the config names; else those that use data of one's own; else all.

    Returns the parts, and one line that says which ones were left out although the config does not say so.
    Raises `TriptychError` if the config defines data of one's own, and no part uses it.
    """
    if config["parts"] is not None:
        return list(config["parts"]), None
    own = own_data(config)
    chosen: list[str] = [part for part in PARTS if _uses(config, part, own)]
    if not chosen:
        for section, names in own.items():
            if names:
                raise TriptychError(
                    f"config: {section}.{names[0]} is used by no part; name it in {USERS[section]}, or say "
                    "by parts: [...] which parts to run"
                )
        return list(PARTS), None
    left_out = [part for part in PARTS if part not in chosen]
    if not left_out:
        return chosen, None
    return chosen, (
        f"not run, as your config names no data of yours for {'it' if len(left_out) == 1 else 'them'}: "
        f"{', '.join(left_out)} (parts: [...] in the config says which parts to run)"
    )


def _uses(config: Config, part: str, own: Mapping[str, list[str]]) -> bool:
    if part == "reconstruction":
        return any(scene in own["scenes"] for scene in config[part]["scenes"])
    return config[part]["dataset"] in own["datasets"]


def unused_definitions(config: Config, shipped: Config) -> list[str]:
    """A line for each section with definitions of the user's own, not in config.yaml, that nothing uses."""
    own, uses = own_data(config), used_names(config)
    unused = {
        section: [
            f"{section}.{name}"
            for name in config[section]
            if not any(table == section and name in names for _, names, table in uses)
            and (name not in shipped[section] or name in own.get(section, []))
        ]
        for section in USERS
    }
    families = {family for row in shipped["architectures"].values() for family in row["recipes"]}
    recipes = [
        f"architectures.{name}.recipes.{family}"
        for name in config["grid"]["architectures"]
        for family in config["architectures"][name]["recipes"]
        if family not in {*families, config["grid"]["recipe"]}
    ]
    found = {USERS[section]: names for section, names in unused.items()} | {"grid.recipe": recipes}
    return [
        f"not used: {', '.join(names)} (to be used, it must be named in {place})"
        for place, names in found.items()
        if names
    ]
