#!/bin/sh
# submit.sh CORES MEGABYTES MINUTES GPUS SCRIPT: submit a job and print its number.
# On this machine, in the background. With PBS, for instance:
#   exec qsub -j oe -l "select=1:ncpus=$1:mem=$2mb:ngpus=$4,walltime=$(($3 * 60))" "$5"
setsid sh "$5" < /dev/null > /dev/null 2>&1 &
echo $!
