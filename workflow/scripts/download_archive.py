"""Download one CIFAR archive from the first mirror that delivers it."""

from pathlib import Path

from triptych.data.download import download
from triptych.data.shared import share_file, shared_folder
from triptych.data.sources import downloads
from triptych.workflow.job import job, log

if "snakemake" in globals():
    with job(snakemake):
        name, target = snakemake.wildcards.archive, Path(snakemake.output[0])

        def fetch() -> None:
            """Download the archive."""
            # No params: which mirror sends how many bytes changes nothing, since their hash is known.
            archive = downloads(snakemake.config["datasets"])[name]
            mirror = download(
                target,
                mirrors=archive.mirrors,
                size=archive.size,
                hashes=snakemake.params.hashes,
                part=snakemake.params.part,
            )
            log.info("%s is complete and checked (%s)", target, mirror)

        shared = shared_folder(snakemake.config) / "downloads" / name
        share_file(shared, target, snakemake.params.hashes, make=fetch)
