"""Part 1: SimCLR pretraining and linear evaluation, against supervised training."""

DATASET = config["self_supervision"]["dataset"]
SELF_SUPERVISION_TARGETS = (
    expand("results/simclr/seed{seed}/{file}", seed=SEEDS, file=["encoder.safetensors", "metrics.json"])
    + expand("results/random/seed{seed}/{file}", seed=SEEDS, file=["encoder.safetensors", "metrics.json"])
    + expand(
        "results/probe/{encoder}/seed{seed}/{file}",
        encoder=["simclr", "random"],
        seed=SEEDS,
        file=["classifier.safetensors", "metrics.json", "history.csv"],
    )
    + expand(
        "results/supervised/seed{seed}/{file}",
        seed=SEEDS,
        file=["model.safetensors", "metrics.json", "history.csv"],
    )
    if "self_supervision" in PARTS
    else []
)


rule pretrain_simclr:
    input:
        data=packed(DATASET),
        code=code_of("pretrain_simclr.py"),
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
        mem_mb=8000,
        runtime=2880,
        gpu=GPU,
    params:
        recipe=config["self_supervision"]["simclr"],
    message:
        "SimCLR: pretraining without labels, seed {wildcards.seed}"
    script:
        "../workflow/scripts/pretrain_simclr.py"


rule initialise_encoder:
    input:
        data=packed(DATASET),
        code=code_of("initialise_encoder.py"),
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
        recipe={key: config["self_supervision"]["simclr"][key] for key in ("width", "device", "precision")},
    message:
        "Encoder that has learnt nothing, seed {wildcards.seed}"
    script:
        "../workflow/scripts/initialise_encoder.py"


rule probe_encoder:
    input:
        data=packed(DATASET),
        encoder="results/{encoder}/seed{seed}/encoder.safetensors",
        code=code_of("probe_encoder.py"),
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
        mem_mb=8000,
        runtime=720,
        gpu=GPU,
    params:
        recipe={
            "width": config["self_supervision"]["simclr"]["width"],
            **config["self_supervision"]["probe"],
        },
    message:
        "Linear evaluation of the {wildcards.encoder} encoder, seed {wildcards.seed}"
    script:
        "../workflow/scripts/probe_encoder.py"


rule train_supervised:
    input:
        data=packed(DATASET),
        code=code_of("train_classifier.py", "triptych.nn.resnet"),
    output:
        model="results/supervised/seed{seed}/model.safetensors",
        metrics="results/supervised/seed{seed}/metrics.json",
        history="results/supervised/seed{seed}/history.csv",
        events=directory("results/supervised/seed{seed}/tensorboard"),
    log:
        "results/logs/supervised/seed{seed}.log",
    benchmark:
        "results/benchmarks/jobs/supervised/seed{seed}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=1440,
        gpu=GPU,
    params:
        recipe={
            "architecture": {
                "module": "triptych.nn.resnet",
                "options": {"width": config["self_supervision"]["simclr"]["width"]},
            },
            "mixing": {"method": "none", "probability": 0.0},
            **config["self_supervision"]["supervised"],
        },
    message:
        "Supervised ResNet18, seed {wildcards.seed}"
    script:
        "../workflow/scripts/train_classifier.py"
