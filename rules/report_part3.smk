"""Figures of the scenes, from result files alone."""


rule plot_radiance:
    input:
        table=rules.train_radiance.output.history,
    output:
        training="results/figures/scenes/{scene}/training.svg",
    log:
        "<logs>/figures/scenes/{scene}/training.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/training.tsv"
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


use rule plot_radiance as plot_views with:
    input:
        numbers="results/scenes/{scene}/views.json",
        pictures="results/scenes/{scene}/views",
    output:
        strips=two_widths("results/figures/scenes/{scene}/views.svg"),
    log:
        "<logs>/figures/scenes/{scene}/views.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/views.tsv"
    message:
        "Figure: held-out views of {wildcards.scene}"


use rule plot_radiance as plot_cameras with:
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


use rule plot_radiance as plot_matches with:
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


use rule plot_radiance as plot_contact_sheet with:
    input:
        table=rules.extract_frames.output.manifest,
        thumbnails=rules.extract_frames.output.thumbnails,
    output:
        contact_sheet=two_widths("results/figures/scenes/{scene}/contact_sheet.svg"),
    log:
        "<logs>/figures/scenes/{scene}/contact_sheet.log",
    benchmark:
        "<benchmarks>/figures/scenes/{scene}/contact_sheet.tsv"
    wildcard_constraints:
        scene=MAPPED,
    message:
        "Figure: contact sheet of {wildcards.scene}"
