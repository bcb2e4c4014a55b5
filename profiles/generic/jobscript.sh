#!/bin/sh
# properties = {properties}
# SIGTERM is for the training, which saves; this shell waits for it.
trap : TERM
# The number that submit.sh prints; with PBS, for instance: number=$PBS_JOBID
number=$$
trap 'code=$?; mkdir -p results/logs/generic; echo $code > results/logs/generic/$number.exit' EXIT
{exec_job}
