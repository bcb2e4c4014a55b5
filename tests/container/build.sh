#!/bin/sh
# Builds the image where no registry can be reached, and runs the demo's first part in it, without a network: `make
# test-image`. As root on Debian, with podman, runc and mmdebstrap, which makes the base of Debian's own packages.
# Arguments are podman's, such as --build-arg TORCH_INDEX=...
set -eu
cd "$(dirname "$0")/../.."
base=docker.io/library/debian:12-slim
certificates=/usr/local/share/ca-certificates  # of a proxy between this machine and the package index
podman image exists $base || mmdebstrap --variant=minbase bookworm | podman import - $base
podman build --isolation=chroot --network=host --pull=never --volume $certificates:$certificates:ro --tag triptych "$@" .
podman --runtime runc run --rm --network=none --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 triptych \
    snakemake results/tables/self_supervision.md --cores all --configfile presets/demo.yaml
