"""The cells of the grid and their recipes, put together from the config's rows, columns and families."""

from collections.abc import Iterable, Mapping
from typing import Any

from triptych.config.grid import METHODS, Policies
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import module_path, tracked_files

Config = Mapping[str, Any]

CIFAR_SIDE = 32  # pixels: the side of images whose source has no image_size

# Names that older versions had: an error tells the new name.
RENAMED_MODULES = {"triptych.nn.resnet": "triptych.models.resnet", "triptych.nn.vit": "triptych.models.vit"}


def cell_name(architecture: str, augmentation: str) -> str:
    """The name of a cell in the config and of its folder under `results/grid`, such as `vit-cutmix`."""
    return f"{architecture}-{augmentation}"


def grid_cells(config: Config) -> list[str]:
    """Names of the cells that are run, row by row."""
    grid = config["grid"]
    named = [cell_name(row, column) for row in grid["architectures"] for column in grid["augmentations"]]
    return [cell for cell in named if cell not in grid["leave_out"]]


def training_recipe(config: Config, architecture: str, augmentation: str) -> dict[str, Any]:
    """How a cell is trained: its architecture's recipe of the chosen family, with the cell's changes.

    `options` are the family's for the architecture, with the cell's changes.
    """
    family = config["architectures"][architecture]["recipes"][config["grid"]["recipe"]]
    changes = config["grid"]["cells"].get(cell_name(architecture, augmentation), {})
    return {**family, **changes, "options": {**family["options"], **changes.get("options", {})}}


def cell_recipe(config: Config, architecture: str, augmentation: str) -> dict[str, Any]:
    """All settings that the result of one cell depends on, and none of other cells or recipe families.

    The config is as `validate_config` leaves it. The recipe has `architecture` (module, options),
    `base_augmentation` (shift, flip and rotation), `augmentation` (of this column), `validation`, and the
    knobs of the training.
    """
    training = training_recipe(config, architecture, augmentation)
    row = config["architectures"][architecture]
    return {
        "architecture": {
            "module": row["module"],
            "options": _given({**row["options"], **training.pop("options")}),
        },
        "base_augmentation": config["grid"]["base_augmentation"],
        "augmentation": augmentation_recipe(
            config["augmentations"][augmentation], image_side(config, "grid")
        ),
        "validation": config["grid"]["validation"],
        **training,
    }


def subset_recipe(config: Config, dataset: str, architecture: str) -> dict[str, Any]:
    """The baseline's recipe on a data set of `grid.subsets`: as many steps as on all images.

    All lengths in epochs and the number of validation images follow the data set's factor.
    """
    recipe, factor = cell_recipe(config, architecture, "baseline"), config["grid"]["subsets"][dataset]
    for knob in ("epochs", "warmup_epochs", "schedule_epochs"):
        recipe[knob] = recipe[knob] and recipe[knob] * factor
    recipe["milestones"] = [epoch * factor for epoch in recipe["milestones"]]
    if recipe["validation"] != "auto":
        recipe["validation"] = max(1, recipe["validation"] // factor)
    return recipe


def image_side(config: Config, part: str) -> int:
    """Side in pixels of the images that the networks of `self_supervision` or `grid` read.

    `auto` is left only where the part is not run, so that its images are not measured: any number will do.
    """
    side: int | str = config["datasets"][config[part]["dataset"]].get("image_size", CIFAR_SIDE)
    return side if isinstance(side, int) else CIFAR_SIDE


def encoder_architecture(config: Config) -> dict[str, Any]:
    """The network of part 1: `module` and `options`."""
    learning = config["self_supervision"]
    entry, width = config["architectures"][learning["architecture"]], learning["simclr"]["width"]
    widened = width is not None and entry["module"] == "triptych.models.resnet"
    options = entry["options"] | ({"width": width} if widened else {})
    return {"module": entry["module"], "options": _given(options)}


def simclr_recipe(config: Config) -> dict[str, Any]:
    """All settings that SimCLR's pretraining depends on; `progressive_resizing` has sizes in pixels."""
    recipe = dict(config["self_supervision"]["simclr"])
    del recipe["width"]  # part of the architecture
    side = image_side(config, "self_supervision")
    stages = [
        {"share": stage["share"], "size": round(stage["scale"] * side)}
        for stage in recipe["progressive_resizing"]
    ]
    return {"architecture": encoder_architecture(config), **recipe, "progressive_resizing": stages}


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that are null: the module's `build` has the default."""
    return {name: value for name, value in options.items() if value is not None}


def augmentation_recipe(augmentation: Mapping[str, Any], side: int = CIFAR_SIDE) -> dict[str, Any]:
    """What an augmentation depends on: neither its title nor the knobs of other methods."""
    if augmentation.get("module"):
        kept = ["module", "options"]
    else:
        kept = ["method", *METHODS[augmentation["method"]].model_fields]
    kept += [policy for policy in Policies.model_fields if augmentation.get(policy)]
    recipe = {key: augmentation[key] for key in kept}
    if recipe.get("method") == "cutout" and recipe["size"] is None:
        recipe["size"] = side // 4
    return recipe


def used_names(config: Config) -> list[tuple[str, list[str], str]]:
    """Where the config uses names, which ones, and the table that must define them."""
    learning, grid = config["self_supervision"], config["grid"]
    augmentation = learning["supervised"]["augmentation"]
    return [
        ("self_supervision.dataset", [learning["dataset"]], "datasets"),
        ("self_supervision.architecture", [learning["architecture"]], "architectures"),
        ("self_supervision.supervised.augmentation", [augmentation] if augmentation else [], "augmentations"),
        ("grid.dataset", [grid["dataset"]], "datasets"),
        ("grid.subsets", list(grid["subsets"]), "datasets"),
        ("grid.architectures", grid["architectures"], "architectures"),
        ("grid.augmentations", grid["augmentations"], "augmentations"),
        ("reconstruction.scenes", config["reconstruction"]["scenes"], "scenes"),
    ]


def modules_of(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Modules that entries of `architectures` and `augmentations` load by name."""
    found = []
    for entry in entries:
        found += [entry["module"]] if entry.get("module") else []
        found += [f"triptych.augment.{policy}" for policy in Policies.model_fields if entry.get(policy)]
    return found


def check_modules(config: Config) -> None:
    """The modules of the grid's rows and columns must lie under `src/` and be Python.

    Elsewhere their edits could not be noticed, and results would be stale.
    Raises `TriptychError`, a line for each that does not, or that imports a file with a syntax error.
    """
    problems = []
    for _, names, table in used_names(config):
        for name in names if table in ("architectures", "augmentations") else []:
            module = config[table][name].get("module")
            if module is None:
                continue
            try:
                if module in RENAMED_MODULES:
                    new = RENAMED_MODULES[module]
                    raise TriptychError(f"module {module} is now {new}; rename it")
                path = module_path(module)
                if path is None:
                    raise TriptychError(f"there is no module '{module}' under src/; put its file there")
                tracked_files(path)
            except TriptychError as error:
                problems.append(f"config: {table}.{name}: {error}")
    if problems:
        raise TriptychError("\n".join(dict.fromkeys(problems)))
