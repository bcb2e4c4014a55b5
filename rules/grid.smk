"""Part 2: {architecture} x {augmentation} x {seed}, every cell a job of its own."""


include: "inputs/grid.smk"


rule train_cell:
    input:
        data=packed(config["grid"]["dataset"]),
    output:
        model="results/grid/{architecture}-{augmentation}/seed{seed}/model.safetensors",
        metrics="results/grid/{architecture}-{augmentation}/seed{seed}/metrics.json",
        history="results/grid/{architecture}-{augmentation}/seed{seed}/history.csv",
        predictions="results/grid/{architecture}-{augmentation}/seed{seed}/predictions.npy",
        events=directory("results/grid/{architecture}-{augmentation}/seed{seed}/tensorboard"),
    log:
        "results/logs/grid/{architecture}-{augmentation}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/grid/{architecture}-{augmentation}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: config["compute"]["cell_threads"] or THREADS
    resources:
        mem_mb=lambda wildcards: 8000 * recipe_of_cell(wildcards)["gpus"],
        runtime=1440,
        gpu=lambda wildcards: GPU * recipe_of_cell(wildcards)["gpus"],
    params:
        code=code_of("train_classifier.py", modules_of_cell),
        recipe=recipe_of_cell,
    message:
        "Grid: {wildcards.architecture} with {wildcards.augmentation}, seed {wildcards.seed}"
    script:
        "../workflow/scripts/train_classifier.py"


rule count_parameters:
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
    params:
        code=code_of("count_parameters.py"),
    message:
        "Counting the parameters of the report's models"
    script:
        "../workflow/scripts/count_parameters.py"


rule sample_augmentations:
    input:
        data=packed(config["grid"]["dataset"]),
    output:
        "results/grid/augmentations.npz",
    log:
        "results/logs/grid/augmentations.log",
    benchmark:
        "results/benchmarks/jobs/grid/augmentations.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of(
            "sample_augmentations.py", modules_of(config["augmentations"][name] for name in AUGMENTATIONS)
        ),
        shared=config["grid"]["base_augmentation"],
        columns={name: column_setting(config["augmentations"][name]) for name in AUGMENTATIONS},
    message:
        "The same images under every augmentation"
    script:
        "../workflow/scripts/sample_augmentations.py"


rule roll_out_attention:
    input:
        data=packed(config["grid"]["dataset"]),
        weights=weights_of_row,
    output:
        "results/grid/attention/{architecture}.npz",
    log:
        "results/logs/grid/attention/{architecture}.log",
    benchmark:
        "results/benchmarks/jobs/grid/attention/{architecture}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        code=code_of("roll_out_attention.py", module_of_row),
        networks=networks_of_row,
    message:
        "Where {wildcards.architecture} looks"
    script:
        "../workflow/scripts/roll_out_attention.py"
