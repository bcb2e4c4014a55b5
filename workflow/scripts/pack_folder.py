"""Pack a folder of images into plain arrays."""

from dataclasses import replace
from pathlib import Path

from triptych.data.folder import read_folder, write_file_list
from triptych.data.packed import save_packed
from triptych.data.shared import share_pack, shared_folder
from triptych.workflow.files import digest_of_value
from triptych.workflow.job import job, log

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe, name = snakemake.params.recipe, snakemake.wildcards.dataset
        contents, folder = snakemake.params.contents, Path(snakemake.output.dataset).parent
        # Not a param: where the images lie changes nothing; their contents are one.
        settings = snakemake.config["datasets"][name]

        def pack() -> None:
            """Read the images and pack them."""
            images = read_folder(
                **{key: settings[key] for key in ("path", "labels")},
                **{key: recipe[key] for key in ("image_size", "pack_size", "test_fraction", "seed")},
                **{key: recipe[key] for key in ("train_size", "test_size")},
                workers=snakemake.threads,
            )
            images = replace(images, source={**images.source, "contents": contents})
            provenance = running.provenance(recipe=recipe, seed=recipe["seed"])
            write_file_list(images, folder / "files.csv")
            save_packed(folder, images, name=name, provenance=provenance)
            log.info("%s: %s", name, images.source["summary"])

        key = digest_of_value([running.code_digest, recipe, contents])
        shared = shared_folder(snakemake.config) / "packed" / key
        share_pack(shared, folder, name=name, path=settings["path"], make=pack)
