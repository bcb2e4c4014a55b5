"""Part 3, first half: a film, or a folder of images, to frames, to camera poses; or all of it as given."""


include: "inputs/reconstruction.smk"


rule film_orbit:
    input:
        code=code_of("film_orbit.py"),
    output:
        film="results/scenes/{scene}/film/film.mp4",
        truth="results/scenes/{scene}/film/truth.json",
    log:
        "results/logs/scenes/{scene}/film.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/film.tsv"
    wildcard_constraints:
        scene=scenes_from("orbit"),
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        recipe=lambda wildcards: scene_recipe(wildcards.scene, "orbit"),
    message:
        "Filming the still life of {wildcards.scene}"
    script:
        "../workflow/scripts/film_orbit.py"


rule extract_frames:
    input:
        film=film_of,
        code=code_of("extract_frames.py"),
    output:
        frames=directory("results/scenes/{scene}/frames"),
        manifest="results/scenes/{scene}/frames.csv",
    log:
        "results/logs/scenes/{scene}/frames.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/frames.tsv"
    wildcard_constraints:
        scene=FILMED,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        recipe=frames_recipe,
        contents=scene_contents,
    message:
        "Choosing the sharp frames of {wildcards.scene}"
    script:
        "../workflow/scripts/extract_frames.py"


rule match_features:
    input:
        frames="results/scenes/{scene}/frames",
        manifest="results/scenes/{scene}/frames.csv",
        code=code_of("match_features.py"),
    output:
        database="results/scenes/{scene}/database.db",
    log:
        "results/logs/scenes/{scene}/database.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/database.tsv"
    wildcard_constraints:
        scene=FILMED,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        recipe=lambda wildcards: scene_recipe(wildcards.scene, "sfm"),
    message:
        "Matching the frames of {wildcards.scene}"
    script:
        "../workflow/scripts/match_features.py"


rule map_scene:
    input:
        frames="results/scenes/{scene}/frames",
        database="results/scenes/{scene}/database.db",
        code=code_of("map_scene.py"),
    output:
        model=directory("results/scenes/{scene}/sfm"),
        summary="results/scenes/{scene}/sfm.json",
    log:
        "results/logs/scenes/{scene}/sfm.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/sfm.tsv"
    wildcard_constraints:
        scene=FILMED,
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        recipe=lambda wildcards: {
            key: scene_recipe(wildcards.scene, "sfm")[key] for key in ("matcher", "seed")
        },
    message:
        "Finding the cameras of {wildcards.scene}"
    script:
        "../workflow/scripts/map_scene.py"


rule write_transforms:
    input:
        model="results/scenes/{scene}/sfm",
        manifest="results/scenes/{scene}/frames.csv",
        code=code_of("write_transforms.py"),
    output:
        transforms="results/scenes/{scene}/transforms.json",
        cloud="results/scenes/{scene}/sparse.ply",
    log:
        "results/logs/scenes/{scene}/transforms.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/transforms.tsv"
    wildcard_constraints:
        scene=FILMED,
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        recipe=box_recipe,
    message:
        "Putting {wildcards.scene} upright"
    script:
        "../workflow/scripts/write_transforms.py"


rule import_scene:
    input:
        code=code_of("import_scene.py"),
    output:
        frames=directory("results/scenes/{scene}/frames"),
        manifest="results/scenes/{scene}/frames.csv",
        transforms="results/scenes/{scene}/transforms.json",
    log:
        "results/logs/scenes/{scene}/import.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/import.tsv"
    wildcard_constraints:
        scene=scenes_from("transforms"),
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
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
        code=code_of("compare_poses.py"),
    output:
        "results/scenes/{scene}/pose_error.json",
    log:
        "results/logs/scenes/{scene}/pose_error.log",
    benchmark:
        "results/benchmarks/jobs/scenes/{scene}/pose_error.tsv"
    wildcard_constraints:
        scene="|".join(filter(has_reference, config["scenes"])) or "(?!)",
    conda:
        "../envs/reconstruction.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Comparing the poses of {wildcards.scene} with the reference"
    script:
        "../workflow/scripts/compare_poses.py"
