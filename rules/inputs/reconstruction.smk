"""Where the frames and reference poses of each scene come from, and what decides them."""

from triptych.sfm.known_poses import poses_fingerprint
from triptych.sfm.sources import check_scene
from triptych.workflow.folder_fingerprint import folder_fingerprint


def check_scenes():
    """Stop before planning anything with a scene that cannot be made."""
    for scene in SCENES if "reconstruction" in PARTS else []:
        try:
            check_scene(scene, config["scenes"][scene])
        except TriptychError as error:
            raise WorkflowError(str(error)) from None


check_scenes()


def scenes_from(*sources):
    """A pattern for the scenes that come from one of these sources."""
    names = [name for name, scene in config["scenes"].items() if scene["source"] in sources]
    return "|".join(names) or "(?!)"


FILMED = scenes_from("orbit", "video", "folder")  # their poses are found; those of the others are known


def has_known_poses(scene):
    """Whether a scene is imported with its poses."""
    return config["scenes"][scene]["source"] == "transforms"


def has_reference(scene):
    """Whether the true poses of a scene are known: always for the embedded film."""
    return config["scenes"][scene]["source"] == "orbit" or config["scenes"][scene]["reference"] is not None


def pose_targets(scene):
    """Every durable file between the film and the radiance field."""
    if has_known_poses(scene):
        return [f"results/scenes/{scene}/{file}" for file in ("frames.csv", "frames", "transforms.json")]
    files = ["frames.csv", "frames", "database.db", "sfm", "sfm.json", "transforms.json", "sparse.ply"]
    if config["scenes"][scene]["source"] == "orbit":
        files += ["film/film.mp4", "film/truth.json"]
    if has_reference(scene):
        files.append("pose_error.json")
    return [f"results/scenes/{scene}/{file}" for file in files]


RECONSTRUCTION_TARGETS = [
    file for scene in SCENES if "reconstruction" in PARTS for file in pose_targets(scene)
]


def film_of(wildcards):
    """The film that frames are taken from; a folder is watched through its fingerprint instead."""
    scene = config["scenes"][wildcards.scene]
    if scene["source"] == "orbit":
        return f"results/scenes/{wildcards.scene}/film/film.mp4"
    return scene["path"] if scene["source"] == "video" else []


def frames_recipe(wildcards):
    """What decides which frames there are."""
    scene = config["scenes"][wildcards.scene]
    where = {key: scene[key] for key in ("source", "path")}
    return {**where, **scene_recipe(wildcards.scene, "frames")}


def scene_contents(wildcards):
    """Changes when a file of a scene from a folder is added, removed or edited."""
    scene = config["scenes"][wildcards.scene]
    fingerprints = {"folder": folder_fingerprint, "transforms": poses_fingerprint}
    if scene["source"] not in fingerprints:
        return None
    try:
        return fingerprints[scene["source"]](scene["path"])
    except TriptychError as error:
        raise WorkflowError(str(error)) from None


def box_recipe(wildcards):
    """What decides the size of the radiance field's box."""
    scale = config["scenes"][wildcards.scene]["aabb_scale"]
    return {"aabb_scale": 4 if scale is None else scale}


def import_recipe(wildcards):
    """What decides how a scene with known poses is taken over."""
    scene = config["scenes"][wildcards.scene]
    return {key: scene[key] for key in ("path", "aabb_scale")}


def reference_of(wildcards):
    """The poses to compare with."""
    scene = config["scenes"][wildcards.scene]
    if scene["source"] == "orbit":
        return f"results/scenes/{wildcards.scene}/film/truth.json"
    return scene["reference"]
