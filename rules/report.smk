"""Tables and figures of each part, and the page, from result files alone.

A script makes the tables or figures that its rule names as outputs.
"""


include: "inputs/report.smk"


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
    group:
        "figures"
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
    group:
        "figures"
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


rule tabulate_parameters:
    input:
        parameters=rules.count_parameters.output[0],
    output:
        parameters=table("parameters"),
    log:
        "<logs>/tables/parameters.log",
    benchmark:
        "<benchmarks>/tables/parameters.tsv"
    group:
        "figures"
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
        overview="results/figures/grid.svg",
        confusion="results/figures/confusion.svg",
    log:
        "<logs>/figures/grid.log",
    benchmark:
        "<benchmarks>/figures/grid.tsv"
    group:
        "figures"
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


use rule plot_grid_overview as plot_grid with:
    input:
        dataset=data_of("grid"),
        histories=histories_of_row,
        published=PUBLISHED,
    output:
        curves="results/figures/grid_{architecture}.svg",
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
        gallery="results/figures/augmentations.svg",
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
        attention="results/figures/attention_{architecture}.svg",
    log:
        "<logs>/figures/attention_{architecture}.log",
    benchmark:
        "<benchmarks>/figures/attention_{architecture}.tsv"
    params:
        titles=titles_of_row,
    message:
        "Figure: attention of {wildcards.architecture}"


rule plot_radiance:
    input:
        table=rules.train_radiance.output.history,
    output:
        training="results/figures/scenes/{scene}/training.svg",
    log:
        "<logs>/figures/scenes/{scene}/training.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/training.tsv"
    group:
        "figures"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("plot_part3.py"),
    message:
        "Figure: PSNR of {wildcards.scene} while training"
    script:
        "../workflow/scripts/plot_part3.py"


use rule plot_radiance as plot_sharpness with:
    input:
        table=rules.extract_frames.output.manifest,
        thumbnails=rules.extract_frames.output.thumbnails,
    output:
        sharpness="results/figures/scenes/{scene}/sharpness.svg",
    log:
        "<logs>/figures/scenes/{scene}/sharpness.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/sharpness.tsv"
    wildcard_constraints:
        scene=MAPPED,
    message:
        "Figure: sharpness of the frames of {wildcards.scene}"


rule plot_views:
    input:
        numbers="results/scenes/{scene}/views.json",
        pictures="results/scenes/{scene}/views",
    output:
        strips="results/figures/scenes/{scene}/views.svg",
    log:
        "<logs>/figures/scenes/{scene}/views.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/views.tsv"
    group:
        "figures"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("plot_scene.py"),
    message:
        "Figure: held-out views of {wildcards.scene}"
    script:
        "../workflow/scripts/plot_scene.py"


use rule plot_views as plot_cameras with:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        cloud="results/scenes/{scene}/sparse.ply",
        numbers="results/scenes/{scene}/views.json",
    output:
        cameras="results/figures/scenes/{scene}/cameras.svg",
    log:
        "<logs>/figures/scenes/{scene}/cameras.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/cameras.tsv"
    message:
        "Figure: cameras of {wildcards.scene}"


use rule plot_views as plot_matches with:
    input:
        database=rules.match_features.output.database,
    output:
        matches="results/figures/scenes/{scene}/matches.svg",
    log:
        "<logs>/figures/scenes/{scene}/matches.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/matches.tsv"
    wildcard_constraints:
        scene=MAPPED,
    message:
        "Figure: matches of {wildcards.scene}"


use rule plot_views as plot_contact_sheet with:
    input:
        table=rules.extract_frames.output.manifest,
        thumbnails=rules.extract_frames.output.thumbnails,
    output:
        contact_sheet="results/figures/scenes/{scene}/contact_sheet.svg",
    log:
        "<logs>/figures/scenes/{scene}/contact_sheet.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/contact_sheet.tsv"
    wildcard_constraints:
        scene=MAPPED,
    message:
        "Figure: contact sheet of {wildcards.scene}"


include: "unlabelled.smk"


# What the page shows of each part that is run: the arguments of its section.
PAGE = {
    "self_supervision": (
        {
            "results": SELF_SUPERVISION,
            "features": [
                path
                for encoder in ENCODERS
                for path in all_seeds(rules.encode_images.output.metrics, encoder=encoder)
            ],
            "maps": shown(
                [
                    filled(rules.map_features.output.metrics, encoder=encoder, seed=SEEDS[0])
                    for encoder in ENCODERS
                ]
            ),
            "figures": figures(rules.plot_self_supervision),
            "checked": checked_of("self_supervision"),
        }
        if "self_supervision" in PARTS and LABELLED and SELF_SUPERVISION_FIGURES
        else None
    ),
    "unlabelled": UNLABELLED if "self_supervision" in PARTS and not LABELLED else None,
    "grid": (
        {
            "results": {**GRID, **TITLES},
            "parameters": None if OWN_IMAGES else filled(rules.count_parameters.output[0]),
            "checked": checked_of("grid"),
            "figures": {
                **({} if RESULTS_FROM else figures(rules.plot_augmentations)),
                **figures(rules.plot_grid_overview),
                "curves": {
                    name: figures(rules.plot_grid, architecture=name)["curves"]
                    for name in ARCHITECTURES
                    if columns_of(name)
                },
                "attention": {
                    name: figures(rules.plot_attention, architecture=name)["attention"]
                    for name in ATTENTIVE
                    if not RESULTS_FROM
                },
            },
        }
        if "grid" in PARTS and CELLS
        else None
    ),
    "scenes": (
        {scene: scene_files(scene) for scene in SCENES}
        if "reconstruction" in PARTS and not RESULTS_FROM
        else {}
    ),
}
if not any(PAGE.values()):
    raise WorkflowError(
        f"config: results_from: {RESULTS_FROM} has no results of parts 1 and 2 that this config names"
    )


rule write_report:
    input:
        results=result_files(PAGE),
        pictures=expand(rules.render_views.output.views, scene=PAGE["scenes"]),
        template=[
            f"{os.path.relpath(SOURCE)}/triptych/report/page.{suffix}" for suffix in ("html", "css", "js")
        ],
        published=PUBLISHED,
    output:
        "results/report/index.html",
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(20),
    params:
        code=TrackedCode("write_report.py"),
        # Snakemake lists the files of the command line before the Snakefile's own, which they override.
        configuration=[
            os.path.relpath(path, workflow.basedir)
            for path in [*workflow.configfiles[-1:], *workflow.configfiles[:-1]]
        ],
        parts=PAGE,
    message:
        "Report: results/report/index.html"
    script:
        "../workflow/scripts/write_report.py"


REPORT_TARGETS = [
    *result_files(PAGE),
    *(rules.tabulate_self_supervision.output if PAGE["self_supervision"] else []),
    *(rules.tabulate_grid.output if PAGE["grid"] else []),
    *(rules.tabulate_parameters.output if PAGE["grid"] and not OWN_IMAGES else []),
    *rules.write_report.output,
]
