"""Targets of the grid, and what decides one cell."""

# Architectures whose attention is drawn.
ATTENTIVE = [name for name in ARCHITECTURES if config["architectures"][name]["attention"]]
GRID_TARGETS = (
    expand(
        "results/grid/{cell}/seed{seed}/{file}",
        cell=CELLS,
        seed=GRID_SEEDS,
        file=["model.safetensors", "metrics.json", "history.csv", "predictions.npy"],
    )
    + expand("results/grid/attention/{architecture}.npz", architecture=ATTENTIVE)
    + ["results/grid/parameters.json", "results/grid/augmentations.npz"]
    if "grid" in PARTS
    else []
)


def recipe_of_cell(wildcards):
    """Everything that decides one cell, and nothing of any other cell."""
    return cell_recipe(config, wildcards.architecture, wildcards.augmentation)


def columns_of(architecture):
    """The augmentations that an architecture is run with."""
    return [augmentation for augmentation in AUGMENTATIONS if f"{architecture}-{augmentation}" in CELLS]


def networks_of_row(wildcards):
    """By augmentation, the network of each cell of an architecture."""
    return {
        augmentation: cell_recipe(config, wildcards.architecture, augmentation)["architecture"]
        for augmentation in columns_of(wildcards.architecture)
    }


def weights_of_row(wildcards):
    """The weights of each cell of an architecture, first seed."""
    return expand(
        "results/grid/{architecture}-{augmentation}/seed{seed}/model.safetensors",
        architecture=wildcards.architecture,
        augmentation=columns_of(wildcards.architecture),
        seed=GRID_SEEDS[0],
    )


def histories_of_row(wildcards):
    """The curves of each cell of an architecture, all seeds of one after the other."""
    return expand(
        "results/grid/{architecture}-{augmentation}/seed{seed}/history.csv",
        architecture=wildcards.architecture,
        augmentation=columns_of(wildcards.architecture),
        seed=GRID_SEEDS,
    )


def module_of_row(wildcards):
    """The module of an architecture."""
    return modules_of([config["architectures"][wildcards.architecture]])


def modules_of_cell(wildcards):
    """The modules that a cell's architecture and augmentation name."""
    return module_of_row(wildcards) + modules_of([config["augmentations"][wildcards.augmentation]])
