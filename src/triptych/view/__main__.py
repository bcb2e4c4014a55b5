"""`python -m triptych.view results/scenes/NAME`: explore a trained scene in the browser."""

import argparse
import logging
import sys
import threading
from pathlib import Path

from triptych.kernels import registry
from triptych.radiance.backend import choose_radiance_device
from triptych.scenes.keyframes import read_camera_path
from triptych.view.scene import read_trained_scene, study_of
from triptych.view.server import serve
from triptych.view.session import Options
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="triptych.view", description="Walk through a trained scene in the browser."
    )
    parser.add_argument("scene", type=Path, help="folder of the scene: results/scenes/NAME")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one (default: %(default)s)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; anyone who can reach it can view (default: %(default)s, this machine "
        "only; from another one, use ssh -L 8080:localhost:8080)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--kernels",
        default="auto",
        help="compiled CPU kernels: auto, off, amx_bf16, avx512_bf16 or avx2 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-width",
        type=int,
        default=960,
        help="width of the sharpest picture, pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--min-side",
        type=int,
        default=64,
        help="shorter side of a moving picture, in pixels; a slow machine shows fewer frames, not smaller "
        "ones (default: %(default)s)",
    )
    parser.add_argument(
        "--fps", type=float, default=10, help="target frame rate while moving (default: %(default)s)"
    )
    parser.add_argument(
        "--camera-path",
        type=Path,
        help="where to save recorded paths (default: camera_paths/NAME.json in the study's folder)",
    )
    chosen = parser.parse_args(arguments)
    for name, least in (("max_width", 16), ("min_side", 8)):
        if getattr(chosen, name) < least:
            parser.error(f"--{name.replace('_', '-')} must be {least} or more")
    if not 0 < chosen.fps <= 1000:
        parser.error("--fps must be above 0 and at most 1000")
    return chosen


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; the exit code is 1 for a problem the user can solve."""
    chosen = _arguments(arguments)
    log.handlers = [logging.StreamHandler()]
    log.setLevel(logging.INFO)
    try:
        registry.configure(chosen.kernels)
        scene = read_trained_scene(chosen.scene, device=choose_radiance_device(chosen.device))
        target = chosen.camera_path or study_of(chosen.scene) / f"camera_paths/{scene.name}.json"
        if target.is_file():
            # recording continues from this file, so an invalid one is an error now
            read_camera_path(target, scene=scene.name)
        options = Options(chosen.fps, chosen.min_side, chosen.max_width, camera_path=target)
        server = serve(scene, host=chosen.host, port=chosen.port, options=options)
    except TriptychError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    shown = "localhost" if chosen.host in ("0.0.0.0", "::") else chosen.host
    print(f"{scene.name} is at http://{shown}:{server.get_port()} (Ctrl+C ends)", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
