"""Tables and figures of architecture x augmentation, from result files alone."""


rule tabulate_parameters:
    input:
        parameters=rules.count_parameters.output[0],
    output:
        parameters=table("parameters"),
    log:
        "<logs>/tables/parameters.log",
    benchmark:
        "<benchmarks>/tables/parameters.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("tabulate_part2.py"),
    message:
        "Table: parameters"
    script:
        "../workflow/scripts/tabulate_part2.py"


use rule tabulate_parameters as tabulate_grid with:
    input:
        **GRID,
        published=PUBLISHED,
    output:
        **{name: table(f"grid_{name}") for name in GRID_TABLES},
    log:
        "<logs>/tables/grid.log",
    benchmark:
        "<benchmarks>/tables/grid.tsv"
    params:
        titles=TITLES,
    message:
        "Tables: architecture x augmentation"


rule plot_grid_overview:
    input:
        **GRID,
        histories=shown(of_cells("history")),
        predictions=shown(of_cells("predictions")),
        labels=moved(f"results/data/{config['grid']['dataset']}/test_labels.npy"),
        published=PUBLISHED,
    output:
        overview=two_widths("results/figures/grid.svg"),
        confusion=two_widths("results/figures/confusion.svg"),
    log:
        "<logs>/figures/grid.log",
    benchmark:
        "<benchmarks>/figures/grid.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("plot_part2.py"),
        titles=TITLES,
    message:
        "Figure: all cells and confusion matrices"
    script:
        "../workflow/scripts/plot_part2.py"


use rule plot_grid_overview as plot_overfitting with:
    input:
        **GRID,
        histories=shown(of_cells("history")),
        subsets=ON_SUBSETS,
        subset_data=SUBSET_DATA,
    output:
        overfitting=two_widths("results/figures/overfitting.svg"),
    log:
        "<logs>/figures/overfitting.log",
    benchmark:
        "<benchmarks>/figures/overfitting.tsv"
    message:
        "Figure: overfitting"


use rule plot_grid_overview as plot_grid with:
    input:
        dataset=data_of("grid"),
        histories=histories_of_row,
        published=PUBLISHED,
    output:
        curves=two_widths("results/figures/grid_{architecture}.svg"),
    log:
        "<logs>/figures/grid_{architecture}.log",
    benchmark:
        "<benchmarks>/figures/grid_{architecture}.tsv"
    params:
        architecture="{architecture}",
        titles=titles_of_row,
    message:
        "Figure: curves of {wildcards.architecture}"


use rule plot_grid_overview as plot_augmentations with:
    input:
        dataset=data_of("grid"),
        examples=rules.sample_augmentations.output[0],
    output:
        gallery=two_widths("results/figures/augmentations.svg"),
    log:
        "<logs>/figures/augmentations.log",
    benchmark:
        "<benchmarks>/figures/augmentations.tsv"
    params:
        titles=TITLES["augmentations"],
    message:
        "Figure: gallery of the augmentations"


use rule plot_grid_overview as plot_attention with:
    input:
        dataset=data_of("grid"),
        rollouts=rules.roll_out_attention.output[0],
    output:
        attention=two_widths("results/figures/attention_{architecture}.svg"),
    log:
        "<logs>/figures/attention_{architecture}.log",
    benchmark:
        "<benchmarks>/figures/attention_{architecture}.tsv"
    params:
        titles=titles_of_row,
    message:
        "Figure: attention of {wildcards.architecture}"
