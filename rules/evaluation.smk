"""Part 1: what the frozen encoders know: probes, neighbours, few labels, a map; and fine-tuning."""

ENCODERS = ["simclr", "random"]
AUGMENTED_PROBE = config["self_supervision"]["probe"]["protocol"] == "report"
FEW_PERCENTS = [f"{percent:g}" for percent in config["self_supervision"]["label_fraction"]["percents"]]
FINE_TUNE_PERCENTS = [f"{percent:g}" for percent in config["self_supervision"]["fine_tune"]["percents"]]
# What is asked of cached features takes seconds on a CPU, and needs its precision.
ON_FEATURES = {"device": "cpu", "precision": "float32"}
EVALUATION_TARGETS = (
    expand(
        "results/features/{encoder}/seed{seed}/{file}",
        encoder=ENCODERS,
        seed=SEEDS,
        file=["train.safetensors", "test.safetensors", "metrics.json"],
    )
    + expand(
        "results/probe/{encoder}/seed{seed}/{file}",
        encoder=ENCODERS,
        seed=SEEDS,
        file=["classifier.safetensors", "metrics.json"] + (["history.csv"] if AUGMENTED_PROBE else []),
    )
    + expand("results/knn/{encoder}/seed{seed}/metrics.json", encoder=ENCODERS, seed=SEEDS)
    + expand(
        "results/label_fraction/{encoder}/percent{percent}/seed{seed}/metrics.json",
        encoder=ENCODERS,
        percent=FEW_PERCENTS,
        seed=SEEDS,
    )
    + expand(
        "results/feature_map/{encoder}/seed{seed}/{file}",
        encoder=ENCODERS,
        seed=SEEDS[0],
        file=["map.csv", "metrics.json"],
    )
    + expand(
        "results/fine_tune/percent{percent}/seed{seed}/{file}",
        percent=FINE_TUNE_PERCENTS,
        seed=SEEDS,
        file=["model.safetensors", "metrics.json", "history.csv"],
    )
    if "self_supervision" in PARTS
    else []
)


rule encode_images:
    input:
        data=packed(DATASET),
        encoder="results/{encoder}/seed{seed}/encoder.safetensors",
    output:
        train="results/features/{encoder}/seed{seed}/train.safetensors",
        test="results/features/{encoder}/seed{seed}/test.safetensors",
        metrics="results/features/{encoder}/seed{seed}/metrics.json",
    log:
        "results/logs/features/{encoder}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/features/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=GPU,
    params:
        code=code_of("encode_images.py"),
        recipe={
            "width": config["self_supervision"]["simclr"]["width"],
            **{key: config["self_supervision"]["probe"][key] for key in ("device", "precision")},
        },
    message:
        "Features of the {wildcards.encoder} encoder, seed {wildcards.seed}"
    script:
        "../workflow/scripts/encode_images.py"


if AUGMENTED_PROBE:

    rule probe_augmented:
        input:
            data=packed(DATASET),
            encoder="results/{encoder}/seed{seed}/encoder.safetensors",
        output:
            classifier="results/probe/{encoder}/seed{seed}/classifier.safetensors",
            metrics="results/probe/{encoder}/seed{seed}/metrics.json",
            history="results/probe/{encoder}/seed{seed}/history.csv",
            events=directory("results/probe/{encoder}/seed{seed}/tensorboard"),
        log:
            "results/logs/probe/{encoder}/seed{seed}.log",
        benchmark:
            "results/benchmarks/jobs/probe/{encoder}/seed{seed}.tsv"
        conda:
            "../envs/learning.yaml"
        threads: THREADS
        resources:
            mem_mb=8000 * config["self_supervision"]["probe"]["gpus"],
            runtime=720,
            gpu=GPU * config["self_supervision"]["probe"]["gpus"],
        params:
            code=code_of("probe_augmented.py"),
            recipe={
                "width": config["self_supervision"]["simclr"]["width"],
                **{
                    key: value
                    for key, value in config["self_supervision"]["probe"].items()
                    if key != "weight_decays"
                },
            },
        message:
            "Linear evaluation of the {wildcards.encoder} encoder, seed {wildcards.seed}"
        script:
            "../workflow/scripts/probe_augmented.py"

else:

    rule probe_encoder:
        input:
            data=packed(DATASET),
            train="results/features/{encoder}/seed{seed}/train.safetensors",
            test="results/features/{encoder}/seed{seed}/test.safetensors",
        output:
            classifier="results/probe/{encoder}/seed{seed}/classifier.safetensors",
            metrics="results/probe/{encoder}/seed{seed}/metrics.json",
        log:
            "results/logs/probe/{encoder}/seed{seed}.log",
        benchmark:
            "results/benchmarks/jobs/probe/{encoder}/seed{seed}.tsv"
        conda:
            "../envs/learning.yaml"
        threads: THREADS
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            code=code_of("probe_encoder.py"),
            recipe={
                **{
                    key: config["self_supervision"]["probe"][key]
                    for key in ("protocol", "validation", "weight_decays")
                },
                **ON_FEATURES,
            },
        message:
            "Linear evaluation of the {wildcards.encoder} encoder, seed {wildcards.seed}"
        script:
            "../workflow/scripts/probe_encoder.py"


rule evaluate_knn:
    input:
        data=packed(DATASET),
        train="results/features/{encoder}/seed{seed}/train.safetensors",
        test="results/features/{encoder}/seed{seed}/test.safetensors",
    output:
        metrics="results/knn/{encoder}/seed{seed}/metrics.json",
    log:
        "results/logs/knn/{encoder}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/knn/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code_of("evaluate_knn.py"),
        recipe={**config["self_supervision"]["knn"], **ON_FEATURES},
    message:
        "Nearest neighbours by the {wildcards.encoder} encoder, seed {wildcards.seed}"
    script:
        "../workflow/scripts/evaluate_knn.py"


rule probe_label_fraction:
    input:
        data=packed(DATASET),
        train="results/features/{encoder}/seed{seed}/train.safetensors",
        test="results/features/{encoder}/seed{seed}/test.safetensors",
    output:
        metrics="results/label_fraction/{encoder}/percent{percent}/seed{seed}/metrics.json",
    log:
        "results/logs/label_fraction/{encoder}/percent{percent}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/label_fraction/{encoder}/percent{percent}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code_of("probe_label_fraction.py"),
        recipe=lambda wildcards: {
            "percent": float(wildcards.percent),
            "folds": config["self_supervision"]["label_fraction"]["folds"],
            "weight_decays": config["self_supervision"]["label_fraction"]["weight_decays"],
            **ON_FEATURES,
        },
    message:
        "Linear evaluation of the {wildcards.encoder} encoder with {wildcards.percent} % of the labels, "
        "seed {wildcards.seed}"
    script:
        "../workflow/scripts/probe_label_fraction.py"


rule map_features:
    input:
        data=packed(DATASET),
        test="results/features/{encoder}/seed{seed}/test.safetensors",
    output:
        map="results/feature_map/{encoder}/seed{seed}/map.csv",
        metrics="results/feature_map/{encoder}/seed{seed}/metrics.json",
    log:
        "results/logs/feature_map/{encoder}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/feature_map/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code_of("map_features.py"),
        recipe={**config["self_supervision"]["feature_map"], **ON_FEATURES},
    message:
        "Map of the {wildcards.encoder} encoder's features, seed {wildcards.seed}"
    script:
        "../workflow/scripts/map_features.py"


rule fine_tune_encoder:
    input:
        data=packed(DATASET),
        encoder="results/simclr/seed{seed}/encoder.safetensors",
    output:
        model="results/fine_tune/percent{percent}/seed{seed}/model.safetensors",
        metrics="results/fine_tune/percent{percent}/seed{seed}/metrics.json",
        history="results/fine_tune/percent{percent}/seed{seed}/history.csv",
        events=directory("results/fine_tune/percent{percent}/seed{seed}/tensorboard"),
    log:
        "results/logs/fine_tune/percent{percent}/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/fine_tune/percent{percent}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=8000 * config["self_supervision"]["fine_tune"]["gpus"],
        runtime=1440,
        gpu=GPU * config["self_supervision"]["fine_tune"]["gpus"],
    params:
        code=code_of("fine_tune_encoder.py"),
        recipe=lambda wildcards: {
            "width": config["self_supervision"]["simclr"]["width"],
            "percent": float(wildcards.percent),
            **{
                key: value
                for key, value in config["self_supervision"]["fine_tune"].items()
                if key != "percents"
            },
        },
    message:
        "Fine-tuning with {wildcards.percent} % of the labels, seed {wildcards.seed}"
    script:
        "../workflow/scripts/fine_tune_encoder.py"
