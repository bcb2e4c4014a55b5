"""What is wrong only together: names that nothing defines, and values that contradict each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from triptych.config.cells import cell_name, grid_cells, training_recipe
from triptych.workflow.errors import TriptychError

Config = Mapping[str, Any]


def check_names(config: Config) -> None:
    """Every name that one section uses must be defined in another.

    Raises:
        TriptychError: one is not.
    """
    learning, grid = config["self_supervision"], config["grid"]
    augmentation = learning["supervised"]["augmentation"]
    uses = [
        ("self_supervision.dataset", [learning["dataset"]], "datasets"),
        ("self_supervision.supervised.augmentation", filter(None, [augmentation]), "augmentations"),
        ("grid.dataset", [grid["dataset"]], "datasets"),
        ("grid.architectures", grid["architectures"], "architectures"),
        ("grid.augmentations", grid["augmentations"], "augmentations"),
        ("reconstruction.scenes", config["reconstruction"]["scenes"], "scenes"),
    ]
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


def check_cells(config: Config) -> None:
    """`grid.cells` and `grid.leave_out` must name cells, and every row and column must keep one.

    Raises:
        TriptychError: they do not.
    """
    grid = config["grid"]
    # A preset's changes to a cell stay valid where a study leaves that cell out.
    cells = [cell_name(row, column) for row in config["architectures"] for column in config["augmentations"]]
    for key in ("cells", "leave_out"):
        for cell in grid[key]:
            if cell not in cells:
                raise TriptychError(
                    f"config: grid.{key} names '{cell}', which is no cell; cells: {', '.join(cells)}"
                )
    left = set(grid_cells(config))
    rows, columns = grid["architectures"], grid["augmentations"]
    lines = [("architectures", row, {cell_name(row, column) for column in columns}) for row in rows]
    lines += [("augmentations", column, {cell_name(row, column) for row in rows}) for column in columns]
    for table, name, line in lines:
        if not line & left:
            raise TriptychError(
                f"config: grid.leave_out leaves no cell of '{name}'; take it out of grid.{table} instead"
            )


def check_trainings(config: Config) -> None:
    """The knobs of each training must go together.

    Raises:
        TriptychError: they do not.
    """
    for where, recipe in _trainings(config):
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
        by_time = recipe.get("minutes") is not None  # the epochs are not known yet
        if not by_time and recipe["warmup_epochs"] > recipe["epochs"]:
            raise TriptychError(
                f"config: {where}.warmup_epochs is {recipe['warmup_epochs']} "
                f"but there are only {recipe['epochs']} epochs"
            )
        micro_batches = recipe["gpus"] * recipe["accumulate"]
        unit = micro_batches if recipe["gpus"] > 1 else 1  # of one process they may differ by an image
        if recipe["batch_size"] % unit or recipe["batch_size"] < 2 * micro_batches:
            raise TriptychError(
                f"config: {where}.batch_size is {recipe['batch_size']}, which gpus: {recipe['gpus']} and "
                f"accumulate: {recipe['accumulate']} cannot share; make it a multiple of {unit} and at least "
                f"{2 * micro_batches}"
            )


def _trainings(config: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in ("simclr", "probe", "fine_tune", "supervised"):
        yield f"self_supervision.{name}", config["self_supervision"][name]
    for name, architecture in config["architectures"].items():
        for family, recipe in architecture["recipes"].items():
            yield f"architectures.{name}.recipes.{family}", recipe
    for row in config["grid"]["architectures"]:
        for column in config["grid"]["augmentations"]:
            if cell_name(row, column) in config["grid"]["cells"]:
                yield f"grid.cells.{cell_name(row, column)}", training_recipe(config, row, column)


def check_budgets(config: Config) -> None:
    """Every radiance field needs a budget, with what its scene overrides.

    Raises:
        TriptychError: one has none.
    """
    common = config["reconstruction"]["radiance"]
    recipes = {"reconstruction": common}
    recipes |= {f"scenes.{name}": {**common, **scene["radiance"]} for name, scene in config["scenes"].items()}
    for where, recipe in recipes.items():
        if recipe["steps"] is None and recipe["minutes"] is None:
            raise TriptychError(
                f"config: {where}.radiance has neither steps nor minutes; give at least one of them"
            )
