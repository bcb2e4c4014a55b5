"""Part 1: SimCLR pretraining, an encoder that has learnt nothing, and supervised training."""

DATASET = config["self_supervision"]["dataset"]
# What supervised training does to its images beside crop and mirror: one of the grid's columns.
MIXING = config["augmentations"].get(
    config["self_supervision"]["supervised"]["augmentation"], {"method": "none"}
)
PLAN = [] if config["self_supervision"]["simclr"]["minutes"] is None else ["results/simclr/plan.json"]
SELF_SUPERVISION_TARGETS = (
    expand("results/simclr/seed{seed}/{file}", seed=SEEDS, file=["encoder.safetensors", "metrics.json"])
    + expand("results/random/seed{seed}/{file}", seed=SEEDS, file=["encoder.safetensors", "metrics.json"])
    + expand(
        "results/supervised/seed{seed}/{file}",
        seed=SEEDS,
        file=["model.safetensors", "metrics.json", "history.csv", "predictions.npy"],
    )
    + PLAN
    if "self_supervision" in PARTS
    else []
)


if PLAN:

    rule plan_simclr:
        input:
            data=packed(DATASET),
        output:
            plan="results/simclr/plan.json",
        log:
            "results/logs/simclr/plan.log",
        benchmark:
            "results/benchmarks/jobs/simclr/plan.tsv"
        conda:
            "../envs/learning.yaml"
        threads: THREADS
        resources:
            mem_mb=8000,
            runtime=30,
            gpu=GPU,
        params:
            code=code_of("plan_simclr.py"),
            # Only what measuring reads: another schedule or rate must not mean another number of epochs.
            recipe={
                key: value
                for key, value in config["self_supervision"]["simclr"].items()
                if key
                not in (
                    *("epochs", "schedule", "min_lr_ratio", "milestones", "gamma", "compile", "gpus"),
                    *("learning_rate", "weight_decay", "temperature"),
                )
            },
        message:
            "SimCLR: how many epochs fit into the minutes"
        script:
            "../workflow/scripts/plan_simclr.py"


rule pretrain_simclr:
    input:
        data=packed(DATASET),
        plan=PLAN,
    output:
        encoder="results/simclr/seed{seed}/encoder.safetensors",
        metrics="results/simclr/seed{seed}/metrics.json",
        history="results/simclr/seed{seed}/history.csv",
        events=directory("results/simclr/seed{seed}/tensorboard"),
    log:
        "results/logs/simclr/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/simclr/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=8000 * config["self_supervision"]["simclr"]["gpus"],
        runtime=2880,
        gpu=GPU * config["self_supervision"]["simclr"]["gpus"],
    params:
        code=code_of("pretrain_simclr.py"),
        # A plan brings its own epochs.
        recipe={
            key: value
            for key, value in config["self_supervision"]["simclr"].items()
            if not (PLAN and key == "epochs")
        },
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
        "results/logs/random/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/random/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=30,
        gpu=GPU,
    params:
        code=code_of("initialise_encoder.py"),
        recipe={key: config["self_supervision"]["simclr"][key] for key in ("width", "device", "precision")},
    message:
        "Encoder that has learnt nothing, seed {wildcards.seed}"
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
        "results/logs/supervised/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/supervised/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=8000 * config["self_supervision"]["supervised"]["gpus"],
        runtime=1440,
        gpu=GPU * config["self_supervision"]["supervised"]["gpus"],
    params:
        code=code_of("train_classifier.py", ["triptych.models.resnet", *modules_of([MIXING])]),
        recipe={
            "architecture": {
                "module": "triptych.models.resnet",
                "options": {"width": config["self_supervision"]["simclr"]["width"]},
            },
            **config["self_supervision"]["supervised"],
            "augmentation": column_setting(MIXING),
        },
    message:
        "Supervised ResNet18, seed {wildcards.seed}"
    script:
        "../workflow/scripts/train_classifier.py"
