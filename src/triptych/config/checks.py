"""What is wrong only together: names that nothing defines, and values that contradict each other.

Each check takes a config with all defaults and yields problems, one line each.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from triptych.config.cells import grid_cells, training_recipe, used_names
from triptych.config.messages import did_you_mean

Config = Mapping[str, Any]


def check_names(config: Config) -> Iterator[str]:
    """Every name that one section uses must be defined in another."""
    grid = config["grid"]
    for place, names, table in used_names(config):
        for name in names:
            if name not in config[table]:
                yield (
                    f"{place} names '{name}', which is not defined under {table}; "
                    f"defined there: {', '.join(config[table])}{did_you_mean(name, config[table])}"
                )
    families = {
        name: config["architectures"][name]["recipes"]
        for name in grid["architectures"]
        if name in config["architectures"]
    }
    without = [name for name, known in families.items() if grid["recipe"] not in known]
    for name in without if len(without) < len(families) else without[:1]:
        known = f"{', '.join(families[name])}{did_you_mean(grid['recipe'], families[name])}"
        yield (
            f"grid.recipe is '{grid['recipe']}', but architectures.{name}.recipes has no such family; "
            f"it has: {known}"
        )


def check_cells(config: Config) -> Iterator[str]:
    """`grid.cells` and `grid.leave_out` must name cells, and every row and column must keep one."""
    grid = config["grid"]
    # A preset's changes to a cell stay valid if a study leaves that cell out.
    cells = [f"{row}-{column}" for row in config["architectures"] for column in config["augmentations"]]
    for key in ("cells", "leave_out"):
        for cell in grid[key]:
            if cell not in cells:
                yield f"grid.{key} names '{cell}', which is no cell; cells: {', '.join(cells)}"
    left = set(grid_cells(config))
    rows, columns = grid["architectures"], grid["augmentations"]
    lines = [("architectures", row, {f"{row}-{column}" for column in columns}) for row in rows]
    lines += [("augmentations", column, {f"{row}-{column}" for row in rows}) for column in columns]
    for table, name, line in lines:
        if not line & left:
            yield f"grid.leave_out leaves no cell of '{name}'; take it out of grid.{table} instead"


def check_trainings(config: Config) -> Iterator[str]:
    """The knobs of each training must go together."""
    for name in ("simclr", "probe", "fine_tune", "supervised"):
        for problem in _problems_of_training(config["self_supervision"][name]):
            yield f"self_supervision.{name}{problem}"
    for name, architecture in config["architectures"].items():
        for family, recipe in architecture["recipes"].items():
            for problem in _problems_of_training(recipe):
                yield f"architectures.{name}.recipes.{family}{problem}"
    grid = config["grid"]
    for row in grid["architectures"]:
        of_family = list(_problems_of_training(config["architectures"][row]["recipes"][grid["recipe"]]))
        for cell in (f"{row}-{column}" for column in grid["augmentations"]):
            if cell in grid["cells"]:
                for problem in _problems_of_training(training_recipe(config, *cell.split("-"))):
                    if problem not in of_family:  # which is named already
                        yield f"grid.cells.{cell}{problem}"


def _problems_of_training(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Each as text that follows the recipe's place."""
    if recipe["optimizer"] == "sgd" and recipe["nesterov"] and recipe["momentum"] == 0:
        yield " has nesterov: true, which needs a momentum above 0"
    if recipe["schedule"] == "step" and not recipe["milestones"]:
        yield " has schedule: step and no milestones; name the epochs of its steps"
    if recipe.get("batch_norm_per_view") and recipe["gpus"] > 1:
        yield " has batch_norm_per_view: true, which needs gpus: 1"
    if recipe["schedule"] == "one_cycle" and recipe["warmup_epochs"] == 0:
        yield " has schedule: one_cycle, which rises over warmup_epochs; set them above 0"
    by_time = recipe.get("minutes") is not None  # the epochs are not known yet
    if not by_time and recipe["warmup_epochs"] > recipe["epochs"]:
        yield (
            f".warmup_epochs is {recipe['warmup_epochs']} but there are only {recipe['epochs']} epochs; "
            "lower it, too"
        )
    micro_batches = recipe["gpus"] * recipe["accumulate"]
    unit = micro_batches if recipe["gpus"] > 1 else 1  # in one process they may differ by an image
    if recipe["batch_size"] % unit or recipe["batch_size"] < 2 * micro_batches:
        yield (
            f".batch_size is {recipe['batch_size']}, which gpus: {recipe['gpus']} and "
            f"accumulate: {recipe['accumulate']} cannot share; make it a multiple of {unit} and at least "
            f"{2 * micro_batches}"
        )


def check_budgets(config: Config) -> Iterator[str]:
    """Every radiance field needs a budget, with what its scene overrides."""
    common = config["reconstruction"]["radiance"]
    recipes = {"reconstruction": common}
    if common["steps"] is not None or common["minutes"] is not None:  # else each scene would be named, too
        recipes |= {
            f"scenes.{name}": {**common, **scene["radiance"]} for name, scene in config["scenes"].items()
        }
    for place, recipe in recipes.items():
        if recipe["steps"] is None and recipe["minutes"] is None:
            yield f"{place}.radiance has neither steps nor minutes; give at least one of them"
