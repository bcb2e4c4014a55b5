"""Part 2: {architecture} x {augmentation} x {seed}, every cell a job of its own."""

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


rule train_cell:
    input:
        data=packed(config["grid"]["dataset"]),
        code=lambda wildcards: code_of(
            "train_classifier.py", config["architectures"][wildcards.architecture]["module"]
        ),
    output:
        model="results/grid/{architecture}-{augmentation}/seed{seed}/model.safetensors",
        metrics="results/grid/{architecture}-{augmentation}/seed{seed}/metrics.json",
        history="results/grid/{architecture}-{augmentation}/seed{seed}/history.csv",
        events=directory("results/grid/{architecture}-{augmentation}/seed{seed}/tensorboard"),
    params:
        recipe=cell_recipe,
    log:
        "results/logs/grid/{architecture}-{augmentation}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/grid/{architecture}-{augmentation}/seed{seed}.tsv"
    message:
        "Grid: {wildcards.architecture} with {wildcards.augmentation}, seed {wildcards.seed}"
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=GPU,
    script:
        "../workflow/scripts/train_classifier.py"


rule count_parameters:
    input:
        code=code_of("count_parameters.py"),
    output:
        "results/grid/parameters.json",
    log:
        "results/logs/grid/parameters.log",
    benchmark:
        "results/benchmarks/jobs/grid/parameters.tsv"
    message:
        "Counting the parameters of the report's models"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    script:
        "../workflow/scripts/count_parameters.py"
