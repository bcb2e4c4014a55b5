"""`python -m triptych.view results/scenes/NAME`: explore a trained scene in the browser."""

import argparse
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from triptych.kernels import registry
from triptych.radiance.backend import choose_radiance_device
from triptych.scenes.keyframes import read_camera_path
from triptych.view.scene import read_trained_scene, study_of
from triptych.view.server import serve
from triptych.view.session import Options
from triptych.workflow.command import run_command

log = logging.getLogger("triptych")


def _between(low: float, high: float, kind: Callable[[str], float] = int) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} must be between {low:g} and {high:g}")
        return value

    read.__name__ = kind.__name__  # argparse names it
    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m triptych.view", description="Walk through a trained scene in the browser."
    )
    parser.add_argument("scene", type=Path, help="folder of the scene: results/scenes/NAME")
    parser.add_argument("--port", type=int, default=8080, help="0: any free one (default: %(default)s)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; anyone who can reach it can view (default: %(default)s, this machine "
        "only; from another one, use ssh -L 8080:localhost:8080)",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name under which a browser may open the viewer, beside localhost and, with --host, this "
        "machine's addresses and host name; may be given again",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--kernels",
        default="auto",
        help="compiled CPU kernels: auto, off, amx_bf16, avx512_bf16 or avx2 (default: %(default)s)",
    )
    parser.add_argument(
        "--max-width",
        type=_between(16, 10_000),
        default=960,
        help="width of the sharpest picture, pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--min-side",
        type=_between(8, 10_000),
        default=64,
        help="shorter side of a moving picture, in pixels; a slow machine shows fewer frames, not smaller "
        "ones (default: %(default)s)",
    )
    parser.add_argument(
        "--fps",
        type=_between(0.1, 1000, float),
        default=15,
        help="target frame rate while moving (default: %(default)s)",
    )
    parser.add_argument(
        "--camera-path",
        type=Path,
        help="where to save recorded paths (default: camera_paths/NAME.json in the study's folder)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; the exit code is 1 for a problem the user can solve."""
    return run_command(_parser(), _serve, arguments)


def _serve(chosen: argparse.Namespace) -> None:
    log.handlers = [logging.StreamHandler()]
    log.setLevel(logging.INFO)
    registry.configure(chosen.kernels)
    scene = read_trained_scene(chosen.scene, device=choose_radiance_device(chosen.device))
    target = chosen.camera_path or study_of(chosen.scene) / f"camera_paths/{scene.name}.json"
    if target.is_file():
        # recording continues from this file, so an invalid one is an error now
        read_camera_path(target, scene=scene.name)
    options = Options(chosen.fps, chosen.min_side, chosen.max_width, camera_path=target)
    server = serve(scene, host=chosen.host, port=chosen.port, options=options, allowed=chosen.allow_host)
    shown = "localhost" if chosen.host in ("0.0.0.0", "::") else chosen.host
    print(f"{scene.name} is at http://{shown}:{server.get_port()} (Ctrl+C ends)", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
