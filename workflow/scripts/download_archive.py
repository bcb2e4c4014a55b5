"""Download one CIFAR archive from the first mirror that delivers it."""

import logging
from typing import TYPE_CHECKING

from triptych.data.download import download
from triptych.data.sources import downloads
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

log = logging.getLogger("triptych")

if "snakemake" in globals():
    with job(snakemake):
        mirror = download(
            snakemake.output[0],
            # Not a param: which mirror sends the bytes changes nothing, since their hash is known.
            mirrors=downloads(snakemake.config["datasets"])[snakemake.wildcards.archive].mirrors,
            hashes=snakemake.params.hashes,
            part=snakemake.params.part,
        )
        log.info("%s is complete and checked (%s)", snakemake.output[0], mirror)
