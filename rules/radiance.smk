"""Part 3, from poses to pictures: radiance field, held-out views, fly-through."""


include: "inputs/radiance.smk"


rule train_radiance:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
    output:
        weights="results/scenes/{scene}/radiance/field.safetensors",
        field="results/scenes/{scene}/radiance/field.json",
        metrics="results/scenes/{scene}/radiance/metrics.json",
        history="results/scenes/{scene}/radiance/history.csv",
        events=directory("results/scenes/{scene}/radiance/tensorboard"),
    log:
        "<logs>/scenes/{scene}/radiance.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/radiance.tsv"
    wildcard_constraints:
        scene=OWN,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(6000),
        runtime=240,
        gpu=GPU,
    params:
        code=TrackedCode("train_radiance.py"),
        recipe=lambda wildcards: without(scene_recipe(wildcards.scene, "radiance"), "backend"),
    message:
        "Radiance field of {wildcards.scene}: training"
    script:
        "../workflow/scripts/train_radiance.py"


rule render_views:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
        weights=rules.train_radiance.output.weights,
        field=rules.train_radiance.output.field,
    output:
        views=directory("results/scenes/{scene}/views"),
        numbers="results/scenes/{scene}/views.json",
    log:
        "<logs>/scenes/{scene}/views.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/views.tsv"
    wildcard_constraints:
        scene=OWN,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
        gpu=GPU,
    params:
        code=TrackedCode("render_views.py"),
        recipe=lambda wildcards: scene_recipe(wildcards.scene, "views"),
    message:
        "Radiance field of {wildcards.scene}: held-out views"
    script:
        "../workflow/scripts/render_views.py"


rule render_flythrough:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
        weights=rules.train_radiance.output.weights,
        field=rules.train_radiance.output.field,
        metrics=rules.train_radiance.output.metrics,
        path=lambda wildcards: recorded_path(wildcards.scene) or [],
    output:
        film="results/scenes/{scene}/flythrough.mp4",
    log:
        "<logs>/scenes/{scene}/flythrough.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/flythrough.tsv"
    wildcard_constraints:
        scene=OWN,
    priority: -1  # slow, and only the page depends on it
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
        gpu=GPU,
    params:
        code=TrackedCode("render_flythrough.py"),
        recipe=lambda wildcards: scene_recipe(wildcards.scene, "flythrough"),
    message:
        "Radiance field of {wildcards.scene}: fly-through"
    script:
        "../workflow/scripts/render_flythrough.py"


rule export_scene:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
        weights=rules.train_radiance.output.weights,
        field=rules.train_radiance.output.field,
    output:
        mesh="results/scenes/{scene}/export/mesh.ply",
        glb="results/scenes/{scene}/export/mesh.glb",
        cloud="results/scenes/{scene}/export/cloud.ply",
        numbers="results/scenes/{scene}/export/export.json",
    log:
        "<logs>/scenes/{scene}/export.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/export.tsv"
    wildcard_constraints:
        scene=OWN,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        # marching cubes needs about 20 bytes per node
        mem_mb=lambda wildcards, attempt: attempt
        * (3000 + scene_recipe(wildcards.scene, "export")["resolution"] ** 3 // 50000),
        runtime=growing(120),
        gpu=GPU,
    params:
        code=TrackedCode("export_scene.py"),
        recipe=lambda wildcards: scene_recipe(wildcards.scene, "export"),
    message:
        "Radiance field of {wildcards.scene}: mesh and point cloud"
    script:
        "../workflow/scripts/export_scene.py"


rule train_instant_ngp:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
    output:
        snapshot="results/scenes/{scene}/radiance/snapshot.ingp",
        metrics="results/scenes/{scene}/radiance/metrics.json",
    log:
        "<logs>/scenes/{scene}/radiance.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/radiance.tsv"
    wildcard_constraints:
        scene=NVLABS,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
        gpu=GPU,
    params:
        code=TrackedCode("train_instant_ngp.py"),
        program=lambda wildcards: program_of(wildcards.scene),
        recipe=instant_ngp_recipe("steps"),
    message:
        "Instant-NGP of {wildcards.scene}: training"
    script:
        "../workflow/scripts/train_instant_ngp.py"


rule render_views_instant_ngp:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
        snapshot=rules.train_instant_ngp.output.snapshot,
    output:
        views=directory("results/scenes/{scene}/views"),
        numbers="results/scenes/{scene}/views.json",
    log:
        "<logs>/scenes/{scene}/views.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/views.tsv"
    wildcard_constraints:
        scene=NVLABS,
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
        gpu=GPU,
    params:
        code=TrackedCode("render_views_instant_ngp.py"),
        program=lambda wildcards: program_of(wildcards.scene),
        recipe=instant_ngp_recipe(),
    message:
        "Instant-NGP of {wildcards.scene}: held-out views"
    script:
        "../workflow/scripts/render_views_instant_ngp.py"


rule render_flythrough_instant_ngp:
    input:
        transforms="results/scenes/{scene}/transforms.json",
        frames="results/scenes/{scene}/frames",
        masks=masks_of,
        snapshot=rules.train_instant_ngp.output.snapshot,
        path=lambda wildcards: recorded_path(wildcards.scene) or [],
    output:
        film="results/scenes/{scene}/flythrough.mp4",
    log:
        "<logs>/scenes/{scene}/flythrough.log",
    benchmark:
        "<benchmarks>/scenes/{scene}/flythrough.tsv"
    wildcard_constraints:
        scene=NVLABS,
    priority: -1
    conda:
        "../envs/reconstruction.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(16000),
        runtime=growing(120),
        gpu=GPU,
    params:
        code=TrackedCode("render_flythrough_instant_ngp.py"),
        program=lambda wildcards: program_of(wildcards.scene),
        recipe=lambda wildcards: {
            **instant_ngp_recipe()(wildcards),
            **only(scene_recipe(wildcards.scene, "flythrough"), "seconds", "fps", "width", "quality"),
        },
    message:
        "Instant-NGP of {wildcards.scene}: fly-through"
    script:
        "../workflow/scripts/render_flythrough_instant_ngp.py"


RADIANCE_TARGETS = [
    path for scene in SCENES for rule in rules_of_field(scene) for path in results_of(rule, scene=scene)
]
