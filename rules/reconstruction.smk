"""Part 3, first half: from a film or a folder of images to frames and camera poses, or import of given poses."""


include: "inputs/reconstruction.smk"


rule film_orbit:
    output:
        film="results/scenes/{scene}/film/film.mp4",
        truth="results/scenes/{scene}/film/truth.json",
    log:
        "<logs>/scenes/{scene}/film.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/film.tsv"
    wildcard_constraints:
        scene=ORBITS,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=TrackedCode("film_orbit.py"),
        recipe=lambda wildcards: scene_recipe(wildcards.scene, "orbit"),
    message:
        "Filming the still life of {wildcards.scene}"
    script:
        "../workflow/scripts/film_orbit.py"


rule extract_frames:
    input:
        film=film_of,
    output:
        frames=directory("results/scenes/{scene}/frames"),
        manifest="results/scenes/{scene}/frames.csv",
        summary="results/scenes/{scene}/frames.json",
        thumbnails=directory("results/scenes/{scene}/thumbnails"),
    log:
        "<logs>/scenes/{scene}/frames.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/frames.tsv"
    wildcard_constraints:
        scene=MAPPED,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=TrackedCode("extract_frames.py"),
        recipe=frames_recipe,
        contents=scene_contents,
    message:
        "Choosing the images of {wildcards.scene}"
    script:
        "../workflow/scripts/extract_frames.py"


rule prepare_masks:
    input:
        frames=rules.extract_frames.output.frames,
        manifest=rules.extract_frames.output.manifest,
    output:
        masks=directory("results/scenes/{scene}/masks"),
        summary="results/scenes/{scene}/masks.json",
    log:
        "<logs>/scenes/{scene}/masks.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/masks.tsv"
    wildcard_constraints:
        scene=MASKED,
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=TrackedCode("prepare_masks.py"),
        recipe=masks_recipe,
        contents=mask_contents,
    message:
        "Masks of {wildcards.scene}"
    script:
        "../workflow/scripts/prepare_masks.py"


rule match_features:
    input:
        frames=rules.extract_frames.output.frames,
        manifest=rules.extract_frames.output.manifest,
        masks=masks_of,
    output:
        database="results/scenes/{scene}/database.db",
    log:
        "<logs>/scenes/{scene}/database.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/database.tsv"
    wildcard_constraints:
        scene=MAPPED,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        runtime=growing(480),
    params:
        code=TrackedCode("match_features.py"),
        recipe=matching_recipe,
    message:
        "Matching the frames of {wildcards.scene}"
    script:
        "../workflow/scripts/match_features.py"


rule map_scene:
    input:
        frames=rules.extract_frames.output.frames,
        database=rules.match_features.output.database,
        masks=masks_of,
    output:
        model=directory("results/scenes/{scene}/sfm"),
        summary="results/scenes/{scene}/sfm.json",
    log:
        "<logs>/scenes/{scene}/sfm.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/sfm.tsv"
    wildcard_constraints:
        scene=MAPPED,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        runtime=growing(480),
    params:
        code=TrackedCode("map_scene.py"),
        recipe=mapping_recipe,
    message:
        "Finding the cameras of {wildcards.scene}"
    script:
        "../workflow/scripts/map_scene.py"


rule write_transforms:
    input:
        model=rules.map_scene.output.model,
        summary=rules.map_scene.output.summary,
        manifest=rules.extract_frames.output.manifest,
        masks=masks_of,
    output:
        transforms="results/scenes/{scene}/transforms.json",
        cloud="results/scenes/{scene}/sparse.ply",
        model=directory("results/scenes/{scene}/colmap/sparse/0"),
    log:
        "<logs>/scenes/{scene}/transforms.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/transforms.tsv"
    wildcard_constraints:
        scene=MAPPED,
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        code=TrackedCode("write_transforms.py"),
        recipe=box_recipe,
    message:
        "Scene frame of {wildcards.scene}: upright and centred"
    script:
        "../workflow/scripts/write_transforms.py"


rule import_scene:
    output:
        frames=directory("results/scenes/{scene}/frames"),
        manifest="results/scenes/{scene}/frames.csv",
        transforms="results/scenes/{scene}/transforms.json",
        cloud="results/scenes/{scene}/sparse.ply",
        model=directory("results/scenes/{scene}/colmap/sparse/0"),
    log:
        "<logs>/scenes/{scene}/import.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/import.tsv"
    wildcard_constraints:
        scene=IMPORTED,
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        code=TrackedCode("import_scene.py"),
        recipe=import_recipe,
        contents=scene_contents,
    message:
        "Importing {wildcards.scene} with its poses"
    script:
        "../workflow/scripts/import_scene.py"


rule compare_poses:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        reference=reference_of,
    output:
        "results/scenes/{scene}/pose_error.json",
    log:
        "<logs>/scenes/{scene}/pose_error.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/pose_error.tsv"
    wildcard_constraints:
        scene=pattern(filter(has_reference, config["scenes"])),
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        code=TrackedCode("compare_poses.py"),
    message:
        "Comparing the poses of {wildcards.scene} with the reference"
    script:
        "../workflow/scripts/compare_poses.py"


RECONSTRUCTION_TARGETS = [
    path for scene in SCENES for rule in rules_of(scene) for path in results_of(rule, scene=scene)
]
