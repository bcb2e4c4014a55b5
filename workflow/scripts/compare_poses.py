"""Compare a scene's camera poses with the reference."""

from triptych.sfm.pose_error import compare_poses, read_poses
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        ours, reference = snakemake.input.transforms, str(snakemake.input.reference)
        error = compare_poses(read_poses(ours), read_poses(reference))
        provenance = running.provenance(recipe={"reference": reference})
        write_json(snakemake.output[0], {**error, "provenance": provenance})
