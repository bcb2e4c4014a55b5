"""Pack a CIFAR python archive, downloaded or at a path, into plain arrays."""

from pathlib import Path

from triptych.data.cifar import read_cifar
from triptych.data.packed import save_packed
from triptych.data.shared import share_pack, shared_folder
from triptych.data.sources import given_hashes
from triptych.workflow.files import digest_of_files, digest_of_value
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe, name = snakemake.params.recipe, snakemake.wildcards.dataset
        folder, files = Path(snakemake.output.dataset).parent, list(snakemake.input.files)

        def pack() -> None:
            """Read the archive and pack it."""
            if recipe["source"] == "archive":
                images = read_cifar(recipe["path"], hashes=given_hashes(recipe))
            else:  # a download was checked when it came
                images = read_cifar(files[0], expect=recipe["source"])
            images = images.subset(**{key: recipe[key] for key in ("train_size", "test_size", "seed")})
            provenance = running.provenance(recipe=recipe, seed=recipe["seed"])
            save_packed(folder, images, name=name, provenance=provenance)

        path = recipe.get("path")
        decisive = {key: value for key, value in recipe.items() if key != "path"}
        key = digest_of_value([running.code_digest, decisive, digest_of_files(files)])
        shared = shared_folder(snakemake.config) / "packed" / key
        share_pack(shared, folder, name=name, path=path, make=pack)
