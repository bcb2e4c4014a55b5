"""Every data set of the config as plain arrays, whatever its source: results/data/{dataset}/.

Packing is a checkpoint, so that arrays which come out the same make no training run again (see `packed`).
"""


include: "inputs/data.smk"


localrules:
    download_archive,


# No code param: the hashes determine the result, and an edit of the code must not repeat the download.
rule download_archive:
    output:
        "results/downloads/{archive}",
    log:
        "<logs>/downloads/{archive}.log",
    benchmark:
        "<benchmarks>/downloads/{archive}.tsv"
    wildcard_constraints:
        archive="|".join(map(re.escape, DOWNLOADS)) or "(?!)",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=180,
    params:
        hashes=lambda wildcards: DOWNLOADS[wildcards.archive].hashes,
        part="results/checkpoints/downloads/{archive}.part",
    message:
        "Downloading {wildcards.archive}"
    script:
        "../workflow/scripts/download_archive.py"


checkpoint pack_cifar:
    input:
        files=archive_of,
    output:
        **PACKED,
    log:
        "<logs>/data/{dataset}.log",
    benchmark:
        "<benchmarks>/data/{dataset}.tsv"
    wildcard_constraints:
        dataset=from_source("cifar10", "cifar100", "archive"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=TrackedCode("pack_cifar.py"),
        recipe=recipe_of,
    message:
        "Packing {wildcards.dataset} from the CIFAR archive"
    script:
        "../workflow/scripts/pack_cifar.py"


checkpoint pack_folder:
    output:
        **PACKED,
        files="results/data/{dataset}/files.csv",
    log:
        "<logs>/data/{dataset}.log",
    benchmark:
        "<benchmarks>/data/{dataset}.tsv"
    wildcard_constraints:
        dataset=from_source("folder"),
    conda:
        "../envs/learning.yaml"
    threads: THREADS
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        code=TrackedCode("pack_folder.py"),
        recipe=recipe_of,
        contents=contents_of,
    message:
        "Packing {wildcards.dataset} from a folder of images"
    script:
        "../workflow/scripts/pack_folder.py"


checkpoint draw_shapes:
    output:
        **PACKED,
    log:
        "<logs>/data/{dataset}.log",
    benchmark:
        "<benchmarks>/data/{dataset}.tsv"
    wildcard_constraints:
        dataset=from_source("shapes"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=TrackedCode("draw_shapes.py"),
        recipe=recipe_of,
    message:
        "Drawing {wildcards.dataset}"
    script:
        "../workflow/scripts/draw_shapes.py"


# First of all that needs a data set (see `packed`), and by its priority also when it is repeated for another config.
# Trainings do not start either if the sizes do not fit. No code param: an edit of the checks must not repeat them.
checkpoint check_sizes:
    input:
        data=lambda wildcards: packed(wildcards.dataset, checked=False)(wildcards),
    output:
        "results/data/{dataset}/checked.json",
    log:
        "<logs>/data/{dataset}_checks.log",
    benchmark:
        "<benchmarks>/data/{dataset}_checks.tsv"
    priority: 100
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        recipe=lambda wildcards: sizes_of(config, wildcards.dataset),
        layout="notes by part",  # of the output; files of older versions are written anew
    message:
        "Checking that all parts fit the images of {wildcards.dataset}"
    script:
        "../workflow/scripts/check_sizes.py"
