"""What decides one cell of the grid."""

GRID_TARGETS = (
    expand(
        "results/grid/{cell}/seed{seed}/{file}",
        cell=CELLS,
        seed=GRID_SEEDS,
        file=["model.safetensors", "metrics.json", "history.csv"],
    )
    + ["results/grid/parameters.json"]
    if "grid" in PARTS
    else []
)


def cell_recipe(wildcards):
    """Everything that decides one cell, and nothing of any other cell."""
    grid = config["grid"]
    architecture = config["architectures"][wildcards.architecture]
    augmentation = config["augmentations"][wildcards.augmentation]
    return {
        "architecture": {key: architecture[key] for key in ("module", "options")},
        "augmentation": grid["augmentation"],
        "mixing": {key: value for key, value in augmentation.items() if key != "title"},
        "validation": grid["validation"],
        **architecture["training"],
        **grid["cells"].get(f"{wildcards.architecture}-{wildcards.augmentation}", {}),
    }
