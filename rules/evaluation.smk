"""Part 1: evaluations of the frozen encoders: linear probe, kNN, label fractions, a map; and fine-tuning."""


include: "inputs/evaluation.smk"


rule encode_images:
    input:
        data=packed(DATASET),
        encoder=encoder_of,
    output:
        train="results/features/{encoder}/seed{seed}/train.safetensors",
        test="results/features/{encoder}/seed{seed}/test.safetensors",
        metrics="results/features/{encoder}/seed{seed}/metrics.json",
    log:
        "<logs>/features/{encoder}/seed{seed}.log",
    benchmark:
        "<benchmarks>/features/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
        gpu=GPU,
    params:
        code=TrackedCode("encode_images.py", modules_of([ENCODER])),
        recipe={"architecture": ENCODER, **only(EVALUATION["probe"], "device", "precision")},
    message:
        "Features of the {wildcards.encoder} encoder, seed {wildcards.seed}"
    script:
        "../workflow/scripts/encode_images.py"


if SGD_PROBE:

    rule probe_sgd:
        input:
            data=packed(DATASET),
            encoder=encoder_of,
        output:
            classifier="results/probe/{encoder}/seed{seed}/classifier.safetensors",
            metrics="results/probe/{encoder}/seed{seed}/metrics.json",
            history="results/probe/{encoder}/seed{seed}/history.csv",
            events=directory("results/probe/{encoder}/seed{seed}/tensorboard"),
        log:
            "<logs>/probe/{encoder}/seed{seed}.log",
        benchmark:
            "<benchmarks>/probe/{encoder}/seed{seed}.tsv"
        conda:
            "../envs/learning.yaml"
        threads: THREADS
        resources:
            **of_training(EVALUATION["probe"], runtime=720),
        params:
            code=TrackedCode("probe_sgd.py", modules_of([ENCODER])),
            recipe={"architecture": ENCODER, **without(EVALUATION["probe"], "weight_decays")},
        message:
            "Linear evaluation of the {wildcards.encoder} encoder, seed {wildcards.seed}"
        script:
            "../workflow/scripts/probe_sgd.py"

else:

    rule probe_encoder:
        input:
            data=packed(DATASET),
            train=rules.encode_images.output.train,
            test=rules.encode_images.output.test,
        output:
            classifier="results/probe/{encoder}/seed{seed}/classifier.safetensors",
            metrics="results/probe/{encoder}/seed{seed}/metrics.json",
        log:
            "<logs>/probe/{encoder}/seed{seed}.log",
        benchmark:
            "<benchmarks>/probe/{encoder}/seed{seed}.tsv"
        conda:
            "../envs/learning.yaml"
        threads: THREADS
        resources:
            mem_mb=growing(4000),
            runtime=growing(30),
        params:
            code=TrackedCode("probe_encoder.py"),
            recipe={
                **only(EVALUATION["probe"], "protocol", "validation", "weight_decays"),
                **ON_FEATURES,
            },
        message:
            "Linear evaluation of the {wildcards.encoder} encoder, seed {wildcards.seed}"
        script:
            "../workflow/scripts/probe_encoder.py"


rule evaluate_knn:
    input:
        data=packed(DATASET),
        train=rules.encode_images.output.train,
        test=rules.encode_images.output.test,
    output:
        metrics="results/knn/{encoder}/seed{seed}/metrics.json",
    log:
        "<logs>/knn/{encoder}/seed{seed}.log",
    benchmark:
        "<benchmarks>/knn/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=TrackedCode("evaluate_knn.py"),
        recipe={**EVALUATION["knn"], **ON_FEATURES},
    message:
        "Nearest neighbours by the {wildcards.encoder} encoder, seed {wildcards.seed}"
    script:
        "../workflow/scripts/evaluate_knn.py"


rule probe_label_fraction:
    input:
        data=packed(DATASET),
        train=rules.encode_images.output.train,
        test=rules.encode_images.output.test,
    output:
        metrics="results/label_fraction/{encoder}/percent{percent}/seed{seed}/metrics.json",
    log:
        "<logs>/label_fraction/{encoder}/percent{percent}/seed{seed}.log",
    benchmark:
        "<benchmarks>/label_fraction/{encoder}/percent{percent}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=TrackedCode("probe_label_fraction.py"),
        recipe=lambda wildcards: {
            "percent": float(wildcards.percent),
            **without(EVALUATION["label_fraction"], "percents"),
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
        features=rules.encode_images.output["test" if LABELLED else "train"],
    output:
        map="results/feature_map/{encoder}/seed{seed}/map.csv",
        metrics="results/feature_map/{encoder}/seed{seed}/metrics.json",
    log:
        "<logs>/feature_map/{encoder}/seed{seed}.log",
    benchmark:
        "<benchmarks>/feature_map/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=TrackedCode("map_features.py"),
        recipe={**EVALUATION["feature_map"], **ON_FEATURES},
    message:
        "Map of the {wildcards.encoder} encoder's features, seed {wildcards.seed}"
    script:
        "../workflow/scripts/map_features.py"


rule find_nearest_images:
    input:
        data=packed(DATASET),
        train=rules.encode_images.output.train,
        test=rules.encode_images.output.test,
        names=f"results/data/{DATASET}/files.csv",
    output:
        features="results/nearest_images/{encoder}/seed{seed}/features.npy",
        files="results/nearest_images/{encoder}/seed{seed}/files.csv",
        neighbours="results/nearest_images/{encoder}/seed{seed}/neighbours.csv",
        metrics="results/nearest_images/{encoder}/seed{seed}/metrics.json",
    log:
        "<logs>/nearest_images/{encoder}/seed{seed}.log",
    benchmark:
        "<benchmarks>/nearest_images/{encoder}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=TrackedCode("find_nearest_images.py"),
        recipe=ON_FEATURES,
    message:
        "Nearest images by the {wildcards.encoder} encoder, seed {wildcards.seed}"
    script:
        "../workflow/scripts/find_nearest_images.py"


rule fine_tune_encoder:
    input:
        data=packed(DATASET),
        encoder=rules.pretrain_simclr.output.encoder,
    output:
        model="results/fine_tune/percent{percent}/seed{seed}/model.safetensors",
        metrics="results/fine_tune/percent{percent}/seed{seed}/metrics.json",
        history="results/fine_tune/percent{percent}/seed{seed}/history.csv",
        events=directory("results/fine_tune/percent{percent}/seed{seed}/tensorboard"),
    log:
        "<logs>/fine_tune/percent{percent}/seed{seed}.log",
    benchmark:
        "<benchmarks>/fine_tune/percent{percent}/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        **of_training(EVALUATION["fine_tune"], runtime=1440),
    params:
        code=TrackedCode("fine_tune_encoder.py", modules_of([ENCODER])),
        recipe=lambda wildcards: {
            "architecture": ENCODER,
            "percent": float(wildcards.percent),
            **without(EVALUATION["fine_tune"], "percents"),
        },
    message:
        "Fine-tuning with {wildcards.percent} % of the labels, seed {wildcards.seed}"
    script:
        "../workflow/scripts/fine_tune_encoder.py"


# What can be measured only with labels is left out without them.
WITH_LABELS = [
    *results_of(rules.probe_sgd if SGD_PROBE else rules.probe_encoder, encoder=ENCODERS, seed=SEEDS),
    *results_of(rules.evaluate_knn, encoder=ENCODERS, seed=SEEDS),
    *results_of(rules.probe_label_fraction, encoder=ENCODERS, percent=LABEL_PERCENTS, seed=SEEDS),
    *results_of(rules.fine_tune_encoder, percent=FINE_TUNE_PERCENTS, seed=SEEDS),
]
EVALUATION_TARGETS = [
    *results_of(rules.encode_images, encoder=ENCODERS, seed=SEEDS),
    *results_of(rules.map_features, encoder=ENCODERS, seed=SEEDS[0]),
    *(WITH_LABELS if LABELLED else results_of(rules.find_nearest_images, encoder=ENCODERS, seed=SEEDS)),
]
