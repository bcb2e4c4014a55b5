"""The camera paths that films follow."""

from triptych.scenes.keyframes import read_camera_path


def recorded_path(scene):
    """The camera path that the film of a scene follows, or None: along its cameras."""
    return scene_recipe(scene, "flythrough")["path"]


def check_paths():
    """Stop before planning if a camera path is missing or belongs to another scene."""
    for scene in SCENES if "reconstruction" in PARTS else []:
        path = recorded_path(scene)
        if path is None:
            continue
        if not Path(path).is_file():
            raise WorkflowError(
                f"config: the flythrough.path of scene {scene}, {path}, does not exist; record it with "
                f"`make view SCENE={scene}`, or set it to null to pass by the photographs"
            )
        try:
            read_camera_path(Path(path), scene=scene)
        except TriptychError as error:
            raise WorkflowError(f"config: the flythrough.path of scene {scene}: {error}") from None


check_paths()
