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
        "<logs>/grid/{architecture}-{augmentation}/seed{seed}.log",
    benchmark:
        "<benchmarks>/grid/{architecture}-{augmentation}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: config["compute"]["cell_threads"] or THREADS
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * training_mb(recipe_of_cell(wildcards), image_side(config, "grid")),
        runtime=1440,
        gpu=lambda wildcards: GPU * recipe_of_cell(wildcards)["gpus"],
    params:
        code=TrackedCode("train_classifier.py", modules_of_cell),
        recipe=recipe_of_cell,
    message:
        "Grid: {wildcards.architecture} with {wildcards.augmentation}, seed {wildcards.seed}"
    script:
        "../workflow/scripts/train_classifier.py"


use rule train_cell as train_on_subset with:
    input:
        data=lambda wildcards: packed(wildcards.dataset)(wildcards),
    output:
        model="results/subsets/{dataset}/{architecture}/seed{seed}/model.safetensors",
        metrics="results/subsets/{dataset}/{architecture}/seed{seed}/metrics.json",
        history="results/subsets/{dataset}/{architecture}/seed{seed}/history.csv",
        predictions="results/subsets/{dataset}/{architecture}/seed{seed}/predictions.npy",
        events=directory("results/subsets/{dataset}/{architecture}/seed{seed}/tensorboard"),
    log:
        "<logs>/subsets/{dataset}/{architecture}/seed{seed}.log",
    benchmark:
        "<benchmarks>/subsets/{dataset}/{architecture}/seed{seed}.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: attempt
        * training_mb(recipe_on_subset(wildcards), image_side(config, "grid")),
        runtime=1440,
        gpu=lambda wildcards: GPU * recipe_on_subset(wildcards)["gpus"],
    params:
        code=TrackedCode("train_classifier.py", module_of_row),
        recipe=recipe_on_subset,
    message:
        "Grid: {wildcards.architecture} on {wildcards.dataset}, seed {wildcards.seed}"


rule count_parameters:
    output:
        "results/grid/parameters.json",
    log:
        "<logs>/grid/parameters.log",
    benchmark:
        "<benchmarks>/grid/parameters.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("count_parameters.py"),
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
        "<logs>/grid/augmentations.log",
    benchmark:
        "<benchmarks>/grid/augmentations.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode(
            "sample_augmentations.py", modules_of(config["augmentations"][name] for name in AUGMENTATIONS)
        ),
        base=config["grid"]["base_augmentation"],
        augmentations={
            name: augmentation_recipe(config["augmentations"][name], image_side(config, "grid"))
            for name in AUGMENTATIONS
        },
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
        "<logs>/grid/attention/{architecture}.log",
    benchmark:
        "<benchmarks>/grid/attention/{architecture}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(10),
    params:
        code=TrackedCode("roll_out_attention.py", module_of_row),
        networks=networks_of_row,
    message:
        "Attention rollout of {wildcards.architecture}"
    script:
        "../workflow/scripts/roll_out_attention.py"


GRID_TARGETS = [
    *(path for output in ("model", "metrics", "history", "predictions") for path in of_cells(output)),
    *results_of(rules.train_on_subset, dataset=SUBSETS, architecture=ARCHITECTURES, seed=GRID_SEEDS),
    *([] if OWN_IMAGES else results_of(rules.count_parameters)),
    *results_of(rules.sample_augmentations),
    *results_of(rules.roll_out_attention, architecture=ATTENTIVE),
]
