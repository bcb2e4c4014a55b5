"""Tables and figures of self-supervision, from result files alone."""


rule tabulate_self_supervision:
    input:
        results=result_files(SELF_SUPERVISION),
        published=PUBLISHED,
    output:
        table("self_supervision"),
    log:
        "<logs>/tables/self_supervision.log",
    benchmark:
        "<benchmarks>/tables/self_supervision.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("tabulate_part1.py"),
        results=SELF_SUPERVISION,  # the same paths as the input, as arguments
    message:
        "Table: self-supervision"
    script:
        "../workflow/scripts/tabulate_part1.py"


rule plot_self_supervision:
    input:
        dataset=data_of("self_supervision"),
        simclr=all_seeds(rules.pretrain_simclr.output.history),
        probe=all_seeds(PROBE_CURVE, encoder="simclr"),
        random=all_seeds(PROBE_CURVE, encoder="random"),
        supervised=all_seeds(rules.train_supervised.output.history),
        probe_results=all_seeds(PROBE.metrics, encoder="simclr"),
        supervised_results=all_seeds(rules.train_supervised.output.metrics),
        simclr_map=ENCODER_MAPS["simclr"],
        random_map=ENCODER_MAPS["random"] if LABELLED else [],
        published=PUBLISHED,
    output:
        **SELF_SUPERVISION_FIGURES,
    log:
        "<logs>/figures/self_supervision.log",
    benchmark:
        "<benchmarks>/figures/self_supervision.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("plot_part1.py"),
    message:
        "Figures: self-supervision"
    script:
        "../workflow/scripts/plot_part1.py"
