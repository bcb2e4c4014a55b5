"""Part 2: {architecture} x {augmentation} x {seed}, every cell a job of its own."""


include: "inputs/grid.smk"


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
    log:
        "results/logs/grid/{architecture}-{augmentation}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/grid/{architecture}-{augmentation}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=lambda wildcards: GPU * cell_recipe(wildcards)["gpus"],
    params:
        recipe=cell_recipe,
    message:
        "Grid: {wildcards.architecture} with {wildcards.augmentation}, seed {wildcards.seed}"
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
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    message:
        "Counting the parameters of the report's models"
    script:
        "../workflow/scripts/count_parameters.py"
