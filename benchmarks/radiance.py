"""How good is a radiance field after 60, 150 and 300 seconds on this CPU, and what would its hardware allow?

The scene is fox (or SCENE=/path/to/transforms.json) at half resolution; every 8th image is held out. Each
training runs in its own process, and its schedules span the given seconds. Compiling the kernels does not
count. The parts of a ratio are measured in turns; reported are medians of several rounds.

- `fox_psnr_60s`, `_150s`, `_300s`: mean PSNR in dB of all held-out views; `fox_ssim_300s`.
- `step_over_torch`: a full training step of 2^18 samples in plain PyTorch (`trace_rays`) over the same step
  by the kernels, both from the same half-trained state, at the same precision setting.
- `step_ms`: that step by the kernels.
- `hashgrid_ms`: hash grid forward + backward of a training step's first 2^18 samples, tables of 2^17.
- `hashgrid_over_gather_limit`: `hashgrid_ms` over a loop that only reads (forward), or reads and writes
  (backward), the same rows, whose places are known.
- `mlp_over_matmul_ceiling`: FLOP/s of both networks, forward + backward of 2^18 samples (61,440
  FLOP a sample, outputs padded to 16), over a 4096 x 4096 x 4096 bfloat16 product's.
- `render_540x960_s`: one held-out view after 150 s; `render_psnr_loss_db`: what early termination costs.
- `peak_gib`: of the largest of the trainings' processes.
- `two_cores_over_one`: steps a second with two threads over one.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import _scene
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.memory import aligned
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.radiance import encode, networks
from triptych.kernels.radiance.field import FieldKernels
from triptych.kernels.radiance.rows import gather_row, scatter_row
from triptych.kernels.radiance.trace import KernelTracer
from triptych.radiance.backend import make_tracer
from triptych.radiance.metrics import image_psnr
from triptych.radiance.optimizer import TableAdam
from triptych.radiance.ray_sampler import read_images
from triptych.radiance.render import MIN_TRANSMITTANCE, RadianceField, render_image
from triptych.radiance.snapshot import load_field
from triptych.radiance.spherical_harmonics import WIDTH
from triptych.radiance.trace import Tracer, trace_rays
from triptych.radiance.trainer import Trainer
from triptych.training.memory import keep_large_allocations
from triptych.workflow.files import read_json

SAMPLES, ROUNDS, ZERO = 2**18, 7, np.float32(0)
FLOPS = 61_440  # 2 · 3 · (32·64 + 64·16 + 32·64 + 64·64 + 64·16)
SECONDS = (60, 150, 300)
FOLDER = Path("results/benchmarks/radiance")


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _medians(**functions: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each, called in turn, after one call that does not count."""
    rounds = [{name: _seconds(function) for name, function in functions.items()} for _ in range(ROUNDS + 1)]
    return {name: median(times[name] for times in rounds[1:]) for name in functions}


@kernel
def _gather_limit(task, table, index, weight, out, like, lanes):  # type: ignore[no-untyped-def]
    row = len(lanes) * 4
    for s in range(task * encode.CHUNK, (task + 1) * encode.CHUNK):
        gather_row(table, index + 32 * s, weight, 1, out + s * row, like, lanes)


@kernel
def _scatter_limit(level, tables, index, weight, source, lanes):  # type: ignore[no-untyped-def]
    row = len(lanes) * 4
    for s in range(SAMPLES):
        scatter_row(tables[level], index[level] + 32 * s, weight, 1, source + s * row, ZERO, lanes)


def _grid(trainer: Trainer) -> dict[str, float]:
    """The hash grid against a loop over the same rows."""
    kernels = FieldKernels(trainer.model.field, "float32")
    tracer = trainer.model.tracer
    assert isinstance(tracer, KernelTracer)
    while len(tracer.positions[0]) < SAMPLES:  # what the last step left there
        trainer.num_rays = int(trainer.num_rays * 1.1)
        trainer.advance()
    by_axis = tracer.positions[:, :SAMPLES].copy()
    positions = torch.from_numpy(by_axis).t()
    incoming = np.random.default_rng(0).standard_normal((8, SAMPLES, 4), np.float32)
    tables = [torch.zeros_like(table) for table in trainer.model.field.grid.tables]
    gradients = np.array([table.data_ptr() for table in tables])
    within = ((positions - 0.5) / trainer.model.field.shape.aabb_scale + 0.5).t().contiguous()
    rows = [trainer.model.field.grid.corners(level, within)[0].contiguous() for level in range(8)]
    places, weight = np.array([index.data_ptr() for index in rows]), np.full(8, 0.125, np.float32)
    out, like, lanes = np.empty((SAMPLES, 4), np.float32), np.float32(0), (0,) * 4

    def limit() -> None:
        for level in range(8):
            parallel(
                _gather_limit,
                SAMPLES // encode.CHUNK,
                kernels.grid[0][level],
                places[level],
                weight.ctypes.data,
                out.ctypes.data,
                like,
                lanes,
            )
        parallel(_scatter_limit, 8, gradients, places, weight.ctypes.data, out.ctypes.data, lanes)

    def ours() -> None:
        kernels.encode(by_axis, SAMPLES)
        parallel(encode.encode_backward, 8, kernels.grid, gradients, by_axis, SAMPLES, incoming)

    times = _medians(ours=ours, limit=limit)
    return {"hashgrid_ms": 1000 * times["ours"], "hashgrid_over_gather_limit": times["ours"] / times["limit"]}


def _networks(trainer: Trainer) -> dict[str, float]:
    """Both networks against one large product."""
    kernels, rng = FieldKernels(trainer.model.field, "auto"), np.random.default_rng(0)
    encoding = torch.randn(8, SAMPLES, 4)
    features = torch.randn(SAMPLES // 32, WIDTH)
    if kernels.dtype is np.uint16:
        encoding, features = (values.bfloat16().view(torch.uint16) for values in (encoding, features))
    rays = np.repeat(np.arange(SAMPLES // 32, dtype=np.int32), 32)
    samples, tasks = np.arange(SAMPLES, dtype=np.int32), SAMPLES // networks.TASK
    density, colour = np.empty(SAMPLES, np.float32), np.empty((SAMPLES, 3), np.float32)
    d_raw, d_output = (rng.standard_normal(shape, np.float32) for shape in (SAMPLES, (SAMPLES, 3)))
    d_weights = tuple(aligned(np.zeros((tasks, *shape), np.float32)) for shape in kernels.shapes)
    d_features = np.empty((0, WIDTH), np.float32)
    d_encoding: NDArray[Any] = np.empty((8, SAMPLES, 4), kernels.dtype)
    common = (encoding.numpy(), kernels.lanes, samples, SAMPLES, rays, features.numpy(), kernels.forward)

    def ours() -> None:
        parallel(networks.evaluate, tasks, *common, density, colour)
        gradients = d_weights, d_encoding, d_features
        parallel(networks.evaluate_backward, tasks, *common, kernels.backward, (d_raw, d_output), gradients)

    square = torch.rand(4096, 4096, dtype=torch.bfloat16)
    times = _medians(ours=ours, product=lambda: square @ square)
    reached, ceiling = FLOPS * SAMPLES / times["ours"], 2 * 4096**3 / times["product"]
    return {"mlp_ms": 1000 * times["ours"], "mlp_over_matmul_ceiling": reached / ceiling}


def _steps(trainer: Trainer) -> dict[str, float]:
    """Full steps of 2^18 samples: by the kernels, by plain PyTorch, and by the kernels on one core."""
    for _ in range(20):  # until the number of rays fits
        trainer.advance()
    # between two looks at the occupancy grid, which both would share
    trainer.step = 17
    state = trainer.state()["field"]
    state = {name: value.clone() for name, value in state.items()}

    rays, adam = trainer.num_rays, trainer.optimizers[0]
    assert isinstance(adam, TableAdam)
    compiled_adam = adam.compiled

    def step(tracer: Tracer, *, compiled: bool) -> None:
        trainer.model.field.load_state_dict(state)
        adam.compiled = compiled_adam if compiled else None
        trainer.model.tracer = tracer
        trainer.num_rays, trainer.step = rays, 17
        trainer.advance()

    ours = partial(step, make_tracer(trainer.model.field, "auto"), compiled=True)
    theirs = partial(step, partial(trace_rays, precision="auto"), compiled=False)
    threads = torch.get_num_threads()

    def alone() -> None:
        torch.set_num_threads(1)
        ours()
        torch.set_num_threads(threads)

    fast = _medians(ours=ours, alone=alone)
    ours()
    plain = median(_seconds(theirs) for _ in range(3))
    return {
        "step_ms": 1000 * fast["ours"],
        "step_over_torch": plain / fast["ours"],
        "two_cores_over_one": fast["alone"] / fast["ours"],
    }


def _picture(folder: Path) -> dict[str, float]:
    """One held-out view, with and without early termination of opaque rays."""
    field: RadianceField = load_field(
        folder / "field.safetensors", folder / "field.json", device=torch.device("cpu")
    )
    scene = _scene.load()
    view = scene.split(_scene.HOLDOUT)[1][3]
    truth = read_images(scene, [view])[0].numpy() / 255
    early, late = (
        image_psnr(render_image(field, scene.cameras, view, min_transmittance=limit).colour.numpy(), truth)
        for limit in (MIN_TRANSMITTANCE, 0.0)
    )
    times = _medians(ours=lambda: render_image(field, scene.cameras, view))
    return {"render_540x960_s": times["ours"], "render_psnr_loss_db": late - early}


def measure() -> dict[str, float]:
    """Train for 60, 150 and 300 seconds, then take the ratios."""
    keep_large_allocations()
    metrics: dict[str, float] = {}
    subprocess.run([sys.executable, "-m", "benchmarks._scene", "5", str(FOLDER / "warm")], check=True)
    for seconds in SECONDS:
        folder = FOLDER / f"{seconds}s"
        subprocess.run([sys.executable, "-m", "benchmarks._scene", str(seconds), str(folder)], check=True)
        result = read_json(folder / "result.json")
        metrics |= {f"fox_psnr_{seconds}s": result["psnr"], f"fox_ssim_{seconds}s": result["ssim"]}
        print(seconds, result, flush=True)
    metrics["peak_gib"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    metrics |= _picture(FOLDER / "150s")
    recipe = _scene.RECIPE.model_copy(update={"samples_per_step": SAMPLES})
    trainer = _scene.train_for(20, FOLDER / "20s", recipe=recipe)
    return metrics | _grid(trainer) | _networks(trainer) | _steps(trainer)
