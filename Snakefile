"""The whole study. `snakemake --cores N` builds everything that `rule all` names."""

from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/simclr.smk"
include: "rules/evaluation.smk"
include: "rules/grid.smk"
include: "rules/reconstruction.smk"
include: "rules/radiance.smk"
include: "rules/report.smk"
include: "rules/grid_report.smk"


localrules:
    all,


# Every durable intermediate is named here, not only the report: Snakemake deletes the outputs of
# failed jobs, and an intermediate that is merely missing would not make the tables stale.
rule all:
    default_target: True
    input:
        "results/report/index.html",
        DATA_TARGETS,
        SELF_SUPERVISION_TARGETS,
        EVALUATION_TARGETS,
        GRID_TARGETS,
        RECONSTRUCTION_TARGETS,
        RADIANCE_TARGETS,
        REPORT_TARGETS,
    message:
        "All of it is there"


onerror:
    print_errors()
