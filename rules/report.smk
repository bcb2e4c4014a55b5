"""The page, from result files alone. In each part's file, a script makes the tables or figures its rule names."""


include: "inputs/report.smk"
include: "report_part1.smk"
include: "report_part2.smk"
include: "report_part3.smk"
include: "unlabelled.smk"


# What the page shows of each part that is run: the arguments of its section.
PAGE = {
    "self_supervision": (
        {
            "results": SELF_SUPERVISION,
            "features": sum(
                (all_seeds(rules.encode_images.output.metrics, encoder=encoder) for encoder in ENCODERS), []
            ),
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
            "subsets": ON_SUBSETS,
            "subset_data": SUBSET_DATA,
            "parameters": None if OWN_IMAGES else filled(rules.count_parameters.output[0]),
            "checked": checked_of("grid"),
            "figures": {
                **({} if RESULTS_FROM else figures(rules.plot_augmentations)),
                **figures(rules.plot_grid_overview),
                **figures(rules.plot_overfitting),
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
    refuse(f"config: results_from: {RESULTS_FROM} has no results of parts 1 and 2 that this config names")


rule write_report:
    input:
        results=result_files(PAGE),
        pictures=expand(plain(rules.render_views.output.views), scene=PAGE["scenes"]),
        template=[
            local(f"{os.path.relpath(SOURCE)}/triptych/report/page.{suffix}")
            for suffix in ("html", "css", "js")
        ],
        published=PUBLISHED,
    output:
        page="results/report/index.html",
        summary="results/report/summary.txt",
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
