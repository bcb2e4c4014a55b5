"""Where the frames and reference poses of each scene come from, and their recipes."""

from triptych.sfm.photographs import photographs_fingerprint
from triptych.sfm.sources import SOURCES, check_scene, masks_inside


def check_scenes():
    """Stop before planning if a scene cannot be made."""
    for scene in SCENES if "reconstruction" in PARTS else []:
        try:
            check_scene(scene, config["scenes"][scene])
        except TriptychError as error:
            refuse(error)


check_scenes()


def source_of(scene):
    """The declaration of a scene's source."""
    return SOURCES[config["scenes"][scene]["source"]]


def has_known_poses(scene):
    """Whether a scene is imported with its poses."""
    return source_of(scene).known_poses


def pattern(scenes):
    """A pattern for these scenes, which matches nothing if there are none."""
    return "|".join(scenes) or "(?!)"


ORBITS = pattern(name for name, scene in config["scenes"].items() if scene["source"] == "orbit")
IMPORTED = pattern(filter(has_known_poses, config["scenes"]))
MAPPED = pattern(scene for scene in config["scenes"] if not has_known_poses(scene))
MASKED = pattern(name for name, scene in config["scenes"].items() if scene["masks"] is not None)


def has_reference(scene):
    """Whether the true poses of a scene are known: always for the embedded film."""
    return config["scenes"][scene]["source"] == "orbit" or config["scenes"][scene]["reference"] is not None


def rules_of(scene):
    """The rules between the film, or the folder, and the radiance field."""
    if has_known_poses(scene):
        return [rules.import_scene]
    return [
        *([rules.film_orbit] if config["scenes"][scene]["source"] == "orbit" else []),
        rules.extract_frames,
        *([rules.prepare_masks] if config["scenes"][scene]["masks"] is not None else []),
        *(rules.match_features, rules.map_scene, rules.write_transforms),
        *([rules.compare_poses] if has_reference(scene) else []),
    ]


def film_of(wildcards):
    """The film that another rule writes; changes of the user's files are noticed by their fingerprint."""
    return rules.film_orbit.output.film if config["scenes"][wildcards.scene]["source"] == "orbit" else []


def frames_recipe(wildcards):
    """The settings that the choice of frames depends on."""
    source, recipe = source_of(wildcards.scene), scene_recipe(wildcards.scene, "frames")
    for name in ("reject_below", "max_frames"):
        if recipe[name] is None:
            recipe[name] = getattr(source, name)
    scene = config["scenes"][wildcards.scene]
    return {"path": scene["path"], "film": source.film, "leave_out": masks_inside(scene), **recipe}


def scene_contents(wildcards):
    """A fingerprint that changes when the scene's film is edited, or a file of its folder added, removed or edited."""
    fingerprint = source_of(wildcards.scene).fingerprint
    try:
        return fingerprint and fingerprint(config["scenes"][wildcards.scene])
    except TriptychError as error:
        raise WorkflowError(str(error)) from None


def masks_of(wildcards):
    """The folder of a scene's masks, if it has one; those of a scene with known poses are beside its images."""
    if config["scenes"][wildcards.scene]["masks"] is None:
        return []
    return f"results/scenes/{wildcards.scene}/masks"


def masks_recipe(wildcards):
    """The setting that the masks depend on, besides their files."""
    return {"path": config["scenes"][wildcards.scene]["masks"]}


def mask_contents(wildcards):
    """A fingerprint that changes when a file in the folder of masks is added, removed or edited."""
    try:
        return photographs_fingerprint(config["scenes"][wildcards.scene]["masks"])
    except TriptychError as error:
        raise WorkflowError(str(error)) from None


def matching_recipe(wildcards):
    """The settings that features and matches depend on."""
    return without(scene_recipe(wildcards.scene, "sfm"), "mapper", "holdout_poses")


def mapping_recipe(wildcards):
    """The settings that poses depend on; which images are held out is one of them if these wait."""
    recipe = scene_recipe(wildcards.scene, "sfm")
    if recipe["holdout_poses"] == "independent":
        recipe["holdout"] = scene_recipe(wildcards.scene, "radiance")["holdout"]
    return recipe


def box_recipe(wildcards):
    """The settings that the radiance field's box and the meaning of masks depend on."""
    scene = config["scenes"][wildcards.scene]
    masks = {} if scene["masks"] is None else only(scene, "masked")
    return {"aabb_scale": 4 if scene["aabb_scale"] is None else scene["aabb_scale"], **masks}


def import_recipe(wildcards):
    """The settings that the import of a scene with known poses depends on."""
    return only(config["scenes"][wildcards.scene], "source", "path", "aabb_scale")


def reference_of(wildcards):
    """The poses to compare with."""
    scene = config["scenes"][wildcards.scene]
    if scene["source"] == "orbit":
        return rules.film_orbit.output.truth
    return local(scene["reference"])
