"""Part 1: SimCLR pretraining, an encoder with random weights, and supervised training."""


include: "inputs/simclr.smk"


if MINUTES is not None:

    rule plan_simclr:
        input:
            data=packed(DATASET),
        output:
            plan="results/simclr/plan.json",
        log:
            "<logs>/simclr/plan.log",
        benchmark:
            "<benchmarks>/simclr/plan.tsv"
        conda:
            "../envs/learning.yaml"
        threads: THREADS
        resources:
            **of_training(SIMCLR, runtime=30, views=SIMCLR["views"]["count"]),
        params:
            code=TrackedCode("plan_simclr.py", modules_of([ENCODER])),
            recipe=without(SIMCLR, *NOT_MEASURED),
        message:
            "SimCLR: how many epochs fit into the minutes"
        script:
            "../workflow/scripts/plan_simclr.py"


rule pretrain_simclr:
    input:
        data=packed(DATASET),
        plan=[] if MINUTES is None else [rules.plan_simclr.output.plan],
    output:
        encoder="results/simclr/seed{seed}/encoder.safetensors",
        metrics="results/simclr/seed{seed}/metrics.json",
        history="results/simclr/seed{seed}/history.csv",
        events=directory("results/simclr/seed{seed}/tensorboard"),
    log:
        "<logs>/simclr/seed{seed}.log",
    benchmark:
        "<benchmarks>/simclr/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        **of_training(SIMCLR, runtime=2880, views=SIMCLR["views"]["count"]),
    params:
        code=TrackedCode("pretrain_simclr.py", modules_of([ENCODER])),
        recipe=SIMCLR if MINUTES is None else without(SIMCLR, "epochs"),
    message:
        "SimCLR: pretraining without labels, seed {wildcards.seed}"
    script:
        "../workflow/scripts/pretrain_simclr.py"


rule initialise_encoder:
    input:
        data=packed(DATASET),
    output:
        encoder="results/random/seed{seed}/encoder.safetensors",
        metrics="results/random/seed{seed}/metrics.json",
    log:
        "<logs>/random/seed{seed}.log",
    benchmark:
        "<benchmarks>/random/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
        gpu=GPU,
    params:
        code=TrackedCode("initialise_encoder.py", modules_of([ENCODER])),
        recipe=only(SIMCLR, "architecture", "device", "precision"),
    message:
        "Encoder with random weights, seed {wildcards.seed}"
    script:
        "../workflow/scripts/initialise_encoder.py"


rule train_supervised:
    input:
        data=packed(DATASET),
    output:
        model="results/supervised/seed{seed}/model.safetensors",
        metrics="results/supervised/seed{seed}/metrics.json",
        history="results/supervised/seed{seed}/history.csv",
        predictions="results/supervised/seed{seed}/predictions.npy",
        events=directory("results/supervised/seed{seed}/tensorboard"),
    log:
        "<logs>/supervised/seed{seed}.log",
    benchmark:
        "<benchmarks>/supervised/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        **of_training(SUPERVISED, runtime=1440),
    params:
        code=TrackedCode("train_classifier.py", modules_of([ENCODER, AUGMENTATION])),
        recipe={
            "architecture": ENCODER,
            **SUPERVISED,
            "augmentation": augmentation_recipe(AUGMENTATION, image_side(config, "self_supervision")),
        },
    message:
        f"Supervised {ENCODER_TITLE}, seed {{wildcards.seed}}"
    script:
        "../workflow/scripts/train_classifier.py"


PRETRAINING_TARGETS = [
    *([] if MINUTES is None else [rules.plan_simclr.output.plan]),
    *results_of(rules.pretrain_simclr, seed=SEEDS),
    # what needs labels, or is compared by them
    *(results_of(rules.initialise_encoder, seed=SEEDS) if has_labels(DATASET) else []),
    *(results_of(rules.train_supervised, seed=SEEDS) if has_labels(DATASET) else []),
]
