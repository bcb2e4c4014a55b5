#!/bin/sh
# submit.sh CORES MEGABYTES MINUTES GPUS SCRIPT: submit a job and print its number.
# Add what your cluster needs, such as -P PROJECT or -q QUEUE, and correct the names of its resources:
# `qconf -spl` lists parallel environments, `qconf -sc` resources.
set -e
mkdir -p results/logs/sge
[ "$4" -gt 0 ] && gpus="-l gpu=$4"
# SIGUSR1 at the time limit, on which trainings save; SIGKILL two minutes later. -notify: SIGUSR2 before qdel kills.
exec qsub -terse -V -cwd -S /bin/sh -j y -o results/logs/sge -r y -notify -pe smp "$1" \
    -l "mem_free=${2}M,s_rt=0:$3:0,h_rt=0:$3:120" $gpus "$5"
