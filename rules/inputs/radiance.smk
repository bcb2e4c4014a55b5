"""The camera paths that films follow."""


def recorded_path(scene):
    """The camera path that the film of a scene follows, or None: past its photographs."""
    return scene_recipe(scene, "flythrough")["path"]


def check_paths():
    """Stop before planning anything with a camera path that is not there."""
    for scene in SCENES if "reconstruction" in PARTS else []:
        path = recorded_path(scene)
        if path is not None and not Path(path).is_file():
            raise WorkflowError(
                f"config: the flythrough.path of scene {scene}, {path}, does not exist; record it with "
                f"`make view SCENE={scene}`, or set it to null to pass by the photographs"
            )


check_paths()
