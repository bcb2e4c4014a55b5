"""The whole study. `snakemake --cores N` builds everything that `rule all` names."""

from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


# For `--software-deployment-method apptainer`: a file in the folder of the study (docs/install.md).
container: "triptych.sif"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/simclr.smk"
include: "rules/evaluation.smk"
include: "rules/grid.smk"
include: "rules/reconstruction.smk"
include: "rules/radiance.smk"
include: "rules/report.smk"


localrules:
    all,


PART_TARGETS = {
    "self_supervision": PRETRAINING_TARGETS + EVALUATION_TARGETS,
    "grid": GRID_TARGETS,
    "reconstruction": RECONSTRUCTION_TARGETS + RADIANCE_TARGETS,
}


# Every durable intermediate is named here, not only the report: Snakemake deletes the outputs of
# failed jobs, and an intermediate that is merely missing would not make the tables stale.
rule all:
    default_target: True
    input:
        "results/report/index.html",
        [] if RESULTS_FROM else DATA_TARGETS + [PART_TARGETS[part] for part in PARTS],
        REPORT_TARGETS,
    message:
        "All of it is there"


onstart:
    if terminal:
        terminal.stop_at_signals()
    recheck_sizes()
    expect_times()


onsuccess:
    remove_finished_checkpoints()
    print_report(since=STARTED)


onerror:
    print_errors()
