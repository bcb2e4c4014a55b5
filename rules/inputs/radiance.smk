"""Which backend trains the field of each scene, and the camera paths that films follow."""

from functools import cache

from triptych.radiance.instant_ngp import BACKEND as INSTANT_NGP
from triptych.radiance.instant_ngp import Program, gpu_visible
from triptych.scenes.keyframes import read_camera_path


def program_of(scene):
    """NVlabs' build that a scene uses."""
    return only(scene_recipe(scene, "instant_ngp"), "root", "python")


def instant_ngp_recipe(*keys):
    """What decides the result of a job of instant-ngp: some of its own settings, and which images it gets."""

    def recipe(wildcards):
        radiance = scene_recipe(wildcards.scene, "radiance")
        return {
            **only(scene_recipe(wildcards.scene, "instant_ngp"), *keys),
            **only(radiance, "device", "downscale", "holdout"),
        }

    return recipe


def choose_backends():
    """The backend of each scene, by name; jobs get the choice of the process that planned them.

    Stops before planning if instant-ngp is chosen and cannot run.
    """
    chosen, version_of = {}, cache(Program.check)
    for scene in SCENES if "reconstruction" in PARTS else []:
        radiance, program = scene_recipe(scene, "radiance"), scene_recipe(scene, "instant_ngp")
        where = f"config: scene {scene}"
        on_gpu = GPU > 0 and radiance["device"] in ("auto", "cuda")  # run.py takes the first visible GPU
        chosen[scene] = radiance["backend"]
        if radiance["backend"] == "auto":
            usable = program["root"] is not None and on_gpu and planned_with_gpu()
            chosen[scene] = INSTANT_NGP if usable else "triptych"
        elif radiance["backend"] == INSTANT_NGP and program["root"] is None:
            refuse(f"{where}: instant_ngp.root is null; give the folder where instant-ngp is built")
        elif radiance["backend"] == INSTANT_NGP and not on_gpu:
            refuse(f"{where}: instant-ngp needs a GPU; set compute.gpus: 1 and radiance.device: auto or cuda")
        if chosen[scene] == INSTANT_NGP and workflow.is_main_process:
            try:
                build = Program(**program_of(scene))
                version = version_of(build) if planned_with_gpu() else f"of {build.script.parents[1]}"
                print(f"triptych: scene {scene} is trained by instant-ngp {version}", file=sys.stderr)
            except TriptychError as error:
                refuse(f"{where}: {error}")
        elif radiance["backend"] == "auto" and program["root"] is not None and workflow.is_main_process:
            print(
                f"triptych: scene {scene}: no GPU for instant-ngp (none is visible, compute.gpus is 0, or "
                "radiance.device is not auto), so triptych's own backend trains it",
                file=sys.stderr,
            )
    return chosen


def planned_with_gpu():
    """Whether the process that planned this run sees a GPU; its jobs inherit the answer."""
    return os.environ.setdefault("TRIPTYCH_GPU_VISIBLE", str(gpu_visible())) == "True"


BACKENDS = choose_backends()
NVLABS = pattern(scene for scene, backend in BACKENDS.items() if backend == INSTANT_NGP)
OWN = pattern(scene for scene in config["scenes"] if BACKENDS.get(scene) != INSTANT_NGP)


def rules_of_field(scene):
    """The rules that train and render the field of a scene."""
    if BACKENDS.get(scene) == INSTANT_NGP:
        return [rules.train_instant_ngp, rules.render_views_instant_ngp, rules.render_flythrough_instant_ngp]
    return [rules.train_radiance, rules.render_views, rules.render_flythrough, rules.export_scene]


def recorded_path(scene):
    """The camera path that the film of a scene follows, or None: along its cameras."""
    path = scene_recipe(scene, "flythrough")["path"]
    return path and local(path)


def check_paths():
    """Stop before planning if a camera path is missing or belongs to another scene."""
    for scene in SCENES if "reconstruction" in PARTS else []:
        path = recorded_path(scene)
        if path is None:
            continue
        if not Path(path).is_file():
            refuse(
                f"config: the flythrough.path of scene {scene}, {path}, does not exist; record it with "
                f"`make view SCENE={scene}`, or set it to null to pass by the photographs"
            )
        try:
            read_camera_path(Path(path), scene=scene)
        except TriptychError as error:
            refuse(f"config: the flythrough.path of scene {scene}: {error}")


check_paths()
