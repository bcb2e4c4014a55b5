"""Tables and figures of part 2, from its result files."""


rule tabulate_grid:
    input:
        dataset=data_of("grid"),
        metrics=expand("results/grid/{cell}/seed{seed}/metrics.json", cell=CELLS, seed=GRID_SEEDS),
        published=PUBLISHED,
    output:
        **{
            f"{name}_{format}": marked
            for name, (caption, title) in GRID_TABLES.items()
            for format, marked in table(
                f"grid_{name}", "Architecture x augmentation", caption, title
            ).items()
        },
    log:
        "results/logs/tables/grid.log",
    benchmark:
        "results/benchmarks/jobs/tables/grid.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("tabulate_grid.py"),
        architectures=ARCHITECTURE_TITLES,
        augmentations=AUGMENTATION_TITLES,
    message:
        "Tables: architecture x augmentation"
    script:
        "../workflow/scripts/tabulate_grid.py"


rule tabulate_parameters:
    input:
        parameters="results/grid/parameters.json",
    output:
        **table(
            "parameters",
            "Architecture x augmentation",
            "parameter_table",
            "Parameters",
        ),
    log:
        "results/logs/tables/parameters.log",
    benchmark:
        "results/benchmarks/jobs/tables/parameters.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("tabulate_parameters.py"),
    message:
        "Table: parameters"
    script:
        "../workflow/scripts/tabulate_parameters.py"


rule plot_grid_overview:
    input:
        dataset=data_of("grid"),
        metrics=expand("results/grid/{cell}/seed{seed}/metrics.json", cell=CELLS, seed=GRID_SEEDS),
        histories=expand("results/grid/{cell}/seed{seed}/history.csv", cell=CELLS, seed=GRID_SEEDS),
        published=PUBLISHED,
    output:
        in_report(
            "results/figures/grid.svg",
            "Architecture x augmentation",
            "grid_overview",
            figure="All cells",
        ),
    log:
        "results/logs/figures/grid.log",
    benchmark:
        "results/benchmarks/jobs/figures/grid.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_grid_overview.py"),
        architectures=ARCHITECTURE_TITLES,
        augmentations=AUGMENTATION_TITLES,
    message:
        "Figure: all cells"
    script:
        "../workflow/scripts/plot_grid_overview.py"


rule plot_grid:
    input:
        dataset=data_of("grid"),
        histories=histories_of_row,
        published=PUBLISHED,
    output:
        in_report(
            "results/figures/grid_{architecture}.svg",
            "Architecture x augmentation",
            "grid_figure",
            figure="Curves of {architecture}",
        ),
    log:
        "results/logs/figures/grid_{architecture}.log",
    benchmark:
        "results/benchmarks/jobs/figures/grid_{architecture}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_grid.py"),
        augmentations=titles_of_row,
    message:
        "Figure: curves of {wildcards.architecture}"
    script:
        "../workflow/scripts/plot_grid.py"


rule plot_confusion:
    input:
        dataset=data_of("grid"),
        metrics=expand("results/grid/{cell}/seed{seed}/metrics.json", cell=CELLS, seed=GRID_SEEDS),
        labels=f"results/data/{config['grid']['dataset']}/test_labels.npy",
        predictions=expand("results/grid/{cell}/seed{seed}/predictions.npy", cell=CELLS, seed=GRID_SEEDS),
    output:
        in_report(
            "results/figures/confusion.svg",
            "Architecture x augmentation",
            "confusion",
            figure="Confusion",
        ),
    log:
        "results/logs/figures/confusion.log",
    benchmark:
        "results/benchmarks/jobs/figures/confusion.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_confusion.py"),
        architectures=ARCHITECTURE_TITLES,
        augmentations=AUGMENTATION_TITLES,
    message:
        "Figure: what is taken for what"
    script:
        "../workflow/scripts/plot_confusion.py"


rule plot_augmentations:
    input:
        dataset=data_of("grid"),
        examples="results/grid/augmentations.npz",
    output:
        in_report(
            "results/figures/augmentations.svg",
            "Architecture x augmentation",
            "augmentations",
            figure="Augmentations",
        ),
    log:
        "results/logs/figures/augmentations.log",
    benchmark:
        "results/benchmarks/jobs/figures/augmentations.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_augmentations.py"),
        augmentations=AUGMENTATION_TITLES,
    message:
        "Figure: what the augmentations do"
    script:
        "../workflow/scripts/plot_augmentations.py"


rule plot_attention:
    input:
        dataset=data_of("grid"),
        rollouts="results/grid/attention/{architecture}.npz",
    output:
        in_report(
            "results/figures/attention_{architecture}.svg",
            "Architecture x augmentation",
            "attention",
            figure="Attention of {architecture}",
        ),
    log:
        "results/logs/figures/attention_{architecture}.log",
    benchmark:
        "results/benchmarks/jobs/figures/attention_{architecture}.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_attention.py"),
        augmentations=titles_of_row,
    message:
        "Figure: where {wildcards.architecture} looks"
    script:
        "../workflow/scripts/plot_attention.py"
