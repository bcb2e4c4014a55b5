"""The config, checked against its schema before anything is built from it."""

import difflib
import math
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from triptych.config.cells import grid_cells, training_recipe
from triptych.workflow.errors import TriptychError

Schema = Mapping[str, Any]


def _resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference into the schema's `$defs`; keys beside the reference win."""
    if "$ref" not in schema:
        return schema
    return {**root["$defs"][schema["$ref"].removeprefix("#/$defs/")], **schema}


def _fill_defaults(instance: Any, schema: Schema, root: Schema) -> None:
    schema = _resolve(schema, root)
    # `partial` marks overrides: a key that is not given there must not become a default.
    if not isinstance(instance, MutableMapping) or schema.get("partial"):
        return
    properties = schema.get("properties", {})
    for name, subschema in properties.items():
        subschema = _resolve(subschema, root)
        if "default" in subschema:
            instance.setdefault(name, yaml.safe_load(yaml.safe_dump(subschema["default"])))
    others = schema.get("additionalProperties")
    for name, value in instance.items():
        if name in properties:
            _fill_defaults(value, properties[name], root)
        elif isinstance(others, Mapping):
            _fill_defaults(value, others, root)


def _place(error: ValidationError) -> str:
    path = ""
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.lstrip(".") or "the top level"


def _explain(error: ValidationError) -> str:
    where, value, wanted = _place(error), error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(name for name in value if name not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known keys: {', '.join(known)}"
        if not close and "options" in known:
            hint += f"; what your module takes stands under {where}.options"
        return f"unknown key '{unknown}' in {where}; {hint}"
    if error.validator == "type":
        hint = ""
        if isinstance(value, str) and "number" in str(wanted) and "e" in value.lower():
            hint = " (YAML reads 1e-3 as text; write 1.0e-3)"
        kinds = " or ".join([wanted] if isinstance(wanted, str) else wanted)
        return f"{where} is {value!r} but must be of type {kinds}{hint}"
    if error.validator == "enum":
        return f"{where} is {value!r} but must be one of {', '.join(map(repr, wanted))}"
    if error.validator == "required":
        missing = next(name for name in wanted if name not in value)
        return f"{where} lacks the key '{missing}'; add it"
    if error.validator == "pattern":
        return f"{where}: {value!r} must be {error.schema['expected']}"
    limits = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "greater than",
        "exclusiveMaximum": "less than",
    }
    if error.validator in limits:
        return f"{where} is {value!r} but must be {limits[str(error.validator)]} {wanted}"
    return f"{where}: {error.message}"


def _sort_keys(config: Any) -> None:
    """Put the keys of all dictionaries in order, in place.

    Snakemake compares params by their text: without this, two keys that swap lines would rerun jobs.
    """
    if isinstance(config, MutableMapping):
        for key in sorted(config):
            config[key] = value = config.pop(key)
            _sort_keys(value)


def _check_finite(value: Any, place: str = "") -> None:
    """A limit does not keep out .nan, which is neither below nor above it, nor .inf."""
    if isinstance(value, float) and not math.isfinite(value):
        raise TriptychError(f"config: {place} is {value} but must be a finite number")
    items = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in items:
        _check_finite(item, f"{place}[{key}]" if isinstance(value, list) else f"{place}.{key}".lstrip("."))


def _check_pairs(config: Mapping[str, Any]) -> None:
    """Values that are fine alone and wrong together."""
    learning = config["self_supervision"]
    recipes = {
        f"self_supervision.{name}": learning[name] for name in ("simclr", "probe", "fine_tune", "supervised")
    }
    recipes |= {
        f"architectures.{name}.recipes.{family}": recipe
        for name, value in config["architectures"].items()
        for family, recipe in value["recipes"].items()
    }
    recipes |= {
        f"grid.cells.{architecture}-{augmentation}": training_recipe(config, architecture, augmentation)
        for architecture in config["grid"]["architectures"]
        for augmentation in config["grid"]["augmentations"]
        if f"{architecture}-{augmentation}" in config["grid"]["cells"]
    }
    for where, recipe in recipes.items():
        if recipe["optimizer"] == "sgd" and recipe["nesterov"] and recipe["momentum"] == 0:
            raise TriptychError(f"config: {where} has nesterov: true, which needs a momentum above 0")
        if recipe["schedule"] == "step" and not recipe["milestones"]:
            raise TriptychError(
                f"config: {where} has schedule: step and no milestones; name the epochs of its steps"
            )
        if recipe["schedule"] == "one_cycle" and recipe["warmup_epochs"] == 0:
            raise TriptychError(
                f"config: {where} has schedule: one_cycle, which rises over warmup_epochs; set them above 0"
            )
        planned = recipe.get("minutes") is not None  # then the plan brings other epochs, and compares them
        if not planned and recipe["warmup_epochs"] > recipe["epochs"]:
            raise TriptychError(
                f"config: {where}.warmup_epochs is {recipe['warmup_epochs']} "
                f"but there are only {recipe['epochs']} epochs"
            )
        parts = recipe["gpus"] * recipe["accumulate"]
        unit = parts if recipe["gpus"] > 1 else 1  # one process may take pieces that differ by an image
        if recipe["batch_size"] % unit or recipe["batch_size"] < 2 * parts:
            raise TriptychError(
                f"config: {where}.batch_size is {recipe['batch_size']}, which gpus: {recipe['gpus']} and "
                f"accumulate: {recipe['accumulate']} cannot share; make it a multiple of {unit} and at least "
                f"{2 * parts}"
            )
    if learning["simclr"]["minutes"] is not None and learning["simclr"]["gpus"] > 1:
        raise TriptychError(
            "config: self_supervision.simclr.minutes is laid out over the speed of one device; "
            "with gpus above 1 set minutes: null and give epochs"
        )
    if learning["simclr"]["minutes"] is not None and learning["simclr"]["compile"]:
        raise TriptychError(
            "config: self_supervision.simclr.minutes is laid out over the speed of an uncompiled model; "
            "with compile: true set minutes: null and give epochs"
        )
    for name in ("probe", "label_fraction"):
        grid = learning[name]["weight_decays"]
        if grid["min"] > grid["max"]:
            raise TriptychError(
                f"config: self_supervision.{name}.weight_decays has min {grid['min']} "
                f"and max {grid['max']}; min must not be greater"
            )
    common = config["reconstruction"]["radiance"]
    budgets = {"reconstruction": common}
    budgets |= {
        f"scenes.{name}": {**common, **one.get("radiance", {})} for name, one in config["scenes"].items()
    }
    for where, recipe in budgets.items():
        if recipe["steps"] is None and recipe["minutes"] is None:
            raise TriptychError(
                f"config: {where}.radiance has neither steps nor minutes; give at least one of them"
            )
    exports = {"reconstruction": config["reconstruction"]["export"]}
    exports |= {f"scenes.{name}": one["export"] for name, one in config["scenes"].items() if "export" in one}
    for where, export in exports.items():
        lowest, highest = export.get("box") or ([0, 0, 0], [1, 1, 1])
        if any(low >= high for low, high in zip(lowest, highest, strict=True)):
            raise TriptychError(
                f"config: {where}.export.box is [{lowest}, {highest}]; the lowest corner comes first"
            )
    shares = [stage["share"] for stage in learning["simclr"]["progressive_resizing"]]
    if shares and not math.isclose(sum(shares), 1):
        raise TriptychError(
            "config: self_supervision.simclr.progressive_resizing has the shares "
            f"{', '.join(map(str, shares))}, {sum(shares):g} in all; they must add up to 1"
        )
    low, high = learning["simclr"]["views"]["crop_scale"]
    if low > high:
        raise TriptychError(
            f"config: self_supervision.simclr.views.crop_scale is [{low}, {high}]; "
            "the smaller share comes first"
        )


def _expand_home(config: Mapping[str, Any]) -> None:
    """Let `~` stand for the home folder in all paths, in place."""
    for table in ("datasets", "scenes"):
        for settings in config[table].values():
            for key in ("path", "reference"):
                if settings.get(key):
                    settings[key] = str(Path(settings[key]).expanduser())
    for owner in (config["reconstruction"], *config["scenes"].values()):
        film = owner.get("flythrough", {})
        if film.get("path"):
            film["path"] = str(Path(film["path"]).expanduser())


def _check_names(config: Mapping[str, Any]) -> None:
    """Every name that one section uses must be defined in another."""
    mixing = [name for name in [config["self_supervision"]["supervised"]["augmentation"]] if name is not None]
    uses = [
        ("self_supervision.dataset", [config["self_supervision"]["dataset"]], "datasets"),
        ("self_supervision.supervised.augmentation", mixing, "augmentations"),
        ("grid.dataset", [config["grid"]["dataset"]], "datasets"),
        ("grid.architectures", config["grid"]["architectures"], "architectures"),
        ("grid.augmentations", config["grid"]["augmentations"], "augmentations"),
        ("reconstruction.scenes", config["reconstruction"]["scenes"], "scenes"),
    ]
    grid = config["grid"]
    # A preset's changes to a cell stay valid where a study leaves that cell out.
    cells = [f"{a}-{b}" for a in config["architectures"] for b in config["augmentations"]]
    for where, names, table in uses:
        for name in names:
            if name not in config[table]:
                raise TriptychError(
                    f"config: {where} names '{name}', which is not defined under {table}; "
                    f"defined there: {', '.join(config[table])}"
                )
    for name in grid["architectures"]:
        families = config["architectures"][name]["recipes"]
        if grid["recipe"] not in families:
            raise TriptychError(
                f"config: grid.recipe is '{grid['recipe']}', but architectures.{name}.recipes has no such "
                f"family; it has: {', '.join(families) or 'none'}"
            )
    for name, augmentation in config["augmentations"].items():
        if ("method" in augmentation) == ("module" in augmentation):
            what = "both" if "method" in augmentation else "neither"
            raise TriptychError(
                f"config: augmentations.{name} has {what} of the keys 'method' and 'module'; give one of them"
            )
        if "method" in augmentation and augmentation["options"]:
            raise TriptychError(f"config: augmentations.{name}.options are for a 'module'; leave them out")
    for key in ("cells", "leave_out"):
        for cell in grid[key]:
            if cell not in cells:
                raise TriptychError(
                    f"config: grid.{key} names '{cell}', which is no cell; cells: {', '.join(cells)}"
                )
    left = grid_cells(config)
    for table, name_of in (("architectures", "{}-{{}}"), ("augmentations", "{{}}-{}")):
        others = grid["augmentations" if table == "architectures" else "architectures"]
        for name in grid[table]:
            if not {name_of.format(name).format(other) for other in others} & set(left):
                raise TriptychError(
                    f"config: grid.leave_out leaves no cell of '{name}'; take it out of grid.{table} instead"
                )


def _check_unread(config: Mapping[str, Any]) -> None:
    """Numbers that nothing would read, in a config without defaults, which have all numbers.

    Beside a `method` they may stand for others to come.
    """
    entries = config.get("augmentations")
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and "module" in entry and "method" not in entry:
            unread = sorted({"alpha", "probability", "size"} & entry.keys())
            if unread:
                raise TriptychError(
                    f"config: augmentations.{name}.{unread[0]} is not read, as it has a module; "
                    "put it under options if augment takes it"
                )


def _give_recipes(config: Mapping[str, Any]) -> None:
    """Let a row without any recipe be trained by the defaults, in place."""
    for row in config["architectures"].values():
        if not row["recipes"]:
            row["recipes"] = {config["grid"]["recipe"]: {}}


def validate_config(config: dict[str, Any], schema_file: str | Path) -> None:
    """Fill in the schema's defaults in place, check types, ranges, keys and names, and order the keys.

    Raises:
        TriptychError: the first problem, as one line that names the key and what it should be.
    """
    root = yaml.safe_load(Path(schema_file).read_text(encoding="utf-8"))
    _check_finite(config)
    _check_unread(config)
    _fill_defaults(config, root, root)
    errors = list(Draft202012Validator(root).iter_errors(config))
    if errors:
        raise TriptychError(f"config: {_explain(min(errors, key=_place))}")
    _give_recipes(config)
    _fill_defaults(config, root, root)
    _check_names(config)
    _check_pairs(config)
    _expand_home(config)
    _sort_keys(config)
