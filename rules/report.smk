"""Tables and figures of the first and the third part, and the page, from result files."""


include: "inputs/report.smk"


rule tabulate_self_supervision:
    input:
        dataset=data_of("self_supervision"),
        results=result_files(SELF_SUPERVISION),
        published=PUBLISHED,
    output:
        **table(
            "self_supervision",
            "Self-supervision",
            "self_supervision_table",
            "Test accuracy",
        ),
    log:
        "results/logs/tables/self_supervision.log",
    benchmark:
        "results/benchmarks/jobs/tables/self_supervision.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("tabulate_self_supervision.py"),
        # The same paths as the input, sorted into arguments.
        parts=SELF_SUPERVISION,
    message:
        "Table: self-supervision"
    script:
        "../workflow/scripts/tabulate_self_supervision.py"


rule plot_self_supervision:
    input:
        dataset=data_of("self_supervision"),
        simclr=expand("results/simclr/seed{seed}/history.csv", seed=SEEDS),
        probe=expand(f"results/probe/simclr/seed{{seed}}/{PROBE_CURVE}", seed=SEEDS),
        random=expand(f"results/probe/random/seed{{seed}}/{PROBE_CURVE}", seed=SEEDS),
        supervised=expand("results/supervised/seed{seed}/history.csv", seed=SEEDS),
        published=PUBLISHED,
    output:
        **{
            name: in_report(
                f"results/figures/self_supervision_{name}.svg",
                "Self-supervision",
                "self_supervision_figure",
                figure=title,
            )
            for name, title in (
                ("loss", "SimCLR loss"),
                ("neighbours", "SimCLR, nearest neighbours"),
                ("accuracy", "Validation accuracy"),
            )
        },
    log:
        "results/logs/figures/self_supervision.log",
    benchmark:
        "results/benchmarks/jobs/figures/self_supervision.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_self_supervision.py"),
    message:
        "Figures: self-supervision"
    script:
        "../workflow/scripts/plot_self_supervision.py"


rule plot_feature_map:
    input:
        simclr=f"results/feature_map/simclr/seed{SEEDS[0]}/map.csv",
        random=f"results/feature_map/random/seed{SEEDS[0]}/map.csv",
    output:
        in_report(
            "results/figures/feature_map.svg",
            "Self-supervision",
            "feature_map",
            figure="Map of the features",
        ),
    log:
        "results/logs/figures/feature_map.log",
    benchmark:
        "results/benchmarks/jobs/figures/feature_map.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_feature_map.py"),
    message:
        "Figure: map of the features"
    script:
        "../workflow/scripts/plot_feature_map.py"


rule plot_sharpness:
    input:
        frames="results/scenes/{scene}/frames.csv",
    output:
        in_report(
            "results/figures/scenes/{scene}/sharpness.svg",
            "Reconstruction",
            "sharpness_figure",
            scene="{scene}",
            figure="Sharpness of the frames",
        ),
    log:
        "results/logs/figures/scenes/{scene}/sharpness.log",
    benchmark:
        "results/benchmarks/jobs/figures/scenes/{scene}/sharpness.tsv"
    wildcard_constraints:
        scene=MAPPED,
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_sharpness.py"),
    message:
        "Figure: sharpness of the frames of {wildcards.scene}"
    script:
        "../workflow/scripts/plot_sharpness.py"


rule plot_radiance:
    input:
        history="results/scenes/{scene}/radiance/history.csv",
    output:
        in_report(
            "results/figures/scenes/{scene}/training.svg",
            "Reconstruction",
            "training_figure",
            scene="{scene}",
            figure="PSNR",
        ),
    log:
        "results/logs/figures/scenes/{scene}/training.log",
    benchmark:
        "results/benchmarks/jobs/figures/scenes/{scene}/training.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("plot_radiance.py"),
    message:
        "Figure: PSNR of {wildcards.scene} while training"
    script:
        "../workflow/scripts/plot_radiance.py"


rule write_report:
    input:
        results=result_files(PAGE),
        pictures=expand("results/scenes/{scene}/views", scene=PAGE["scenes"]),
        template=[
            f"{os.path.relpath(SOURCE)}/triptych/report/page.{suffix}" for suffix in ("html", "css", "js")
        ],
        published=PUBLISHED,
    output:
        in_report("results/report/index.html", "Page", "page", page="The whole study"),
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/jobs/report.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        code=code_of("write_report.py"),
        # The same paths as the input, sorted into the sections' arguments.
        parts=PAGE,
    message:
        "Report: results/report/index.html"
    script:
        "../workflow/scripts/write_report.py"
