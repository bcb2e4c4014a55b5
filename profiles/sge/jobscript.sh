#!/bin/sh
# properties = {properties}
# Grid Engine's signals before SIGKILL are for the training, which saves; not for this shell and Snakemake.
trap '' USR1 USR2
trap 'code=$?; mkdir -p results/logs/sge; echo $code > results/logs/sge/$JOB_ID.exit' EXIT
{exec_job}
