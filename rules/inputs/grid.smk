"""Recipes, modules and result files of the grid's cells."""

# With the user's own images, nothing of the published report is shown.
OWN_IMAGES = is_own(config["grid"]["dataset"])
# Architectures whose attention is drawn.
ATTENTIVE = [name for name in ARCHITECTURES if config["architectures"][name]["attention"]]


def recipe_of_cell(wildcards):
    """All settings that the result of one cell depends on, and none of any other cell."""
    return cell_recipe(config, wildcards.architecture, wildcards.augmentation)


def recipe_on_subset(wildcards):
    """Likewise, of a baseline on fewer training images."""
    return subset_recipe(config, wildcards.dataset, wildcards.architecture)


def columns_of(architecture):
    """The augmentations that an architecture is run with."""
    return [augmentation for augmentation in AUGMENTATIONS if cell_name(architecture, augmentation) in CELLS]


def networks_of_row(wildcards):
    """By augmentation, the network of each cell of an architecture."""
    return {
        augmentation: cell_recipe(config, wildcards.architecture, augmentation)["architecture"]
        for augmentation in columns_of(wildcards.architecture)
    }


def of_cells(output, architectures=ARCHITECTURES, seeds=GRID_SEEDS):
    """One output of each cell, row by row, all seeds of a cell one after the other."""
    return [
        path
        for architecture in architectures
        for path in expand(
            plain(rules.train_cell.output[output]),
            architecture=architecture,
            augmentation=columns_of(architecture),
            seed=seeds,
        )
    ]


def weights_of_row(wildcards):
    """The weights of each cell of an architecture, first seed."""
    return of_cells("model", [wildcards.architecture], GRID_SEEDS[:1])


def histories_of_row(wildcards):
    """The curves of each cell of an architecture, all seeds."""
    return shown(of_cells("history", [wildcards.architecture]))


def module_of_row(wildcards):
    """The module of an architecture."""
    return modules_of([config["architectures"][wildcards.architecture]])


def modules_of_cell(wildcards):
    """The modules that a cell's architecture and augmentation name."""
    return module_of_row(wildcards) + modules_of([config["augmentations"][wildcards.augmentation]])
