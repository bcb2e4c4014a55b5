"""Every compiled CPU operation, and when it is used; other packages load kernels only through this module.

This module imports no kernel and no numba: a kernel is loaded when it is first used. Without numba, with
`compute: {kernels: off}`, and on a GPU, plain PyTorch computes everything.

A tier is a set of CPU instructions; it includes the tiers below it in this list:

    amx_bf16      matrix products of bfloat16 in tile registers (Intel, from Sapphire Rapids)
    avx512_bf16   dot products of pairs of bfloat16 (AMD from Zen 4, Intel from Cooper Lake)
    avx2          fused multiply-add of 8 float32, or of 16 where the CPU has AVX-512
    generic       no particular instructions: the compiler vectorises the loops

The modules of `triptych.kernels` that compute an operation, by tier:

    operation                        amx_bf16             avx512_bf16          avx2
    3x3 convolution, bfloat16        conv.amx (1)         conv.winograd_bf16   -
    3x3 convolution, float32         conv.winograd_fp32   conv.winograd_fp32   conv.winograd_fp32
    convolution of small maps, bf16  conv.amx             conv.batched_gemm    -
    convolution of small maps, fp32  conv.batched_gemm    conv.batched_gemm    conv.batched_gemm
    linear layer, bfloat16           linear               linear               -
    attention, bfloat16              attention            attention            -
    radiance field, bfloat16         radiance             radiance             -
    radiance field, float32          radiance             radiance             radiance (generic as well)
    SimCLR's views                   views                views                views (generic as well)

(1) The weight gradient; output and input gradient only of maps of up to 6 positions per side.
"""

import ctypes
import os
import platform
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import nn

from triptych.workflow.errors import TriptychError
from triptych.workflow.provenance import cpu_model

TIERS = ("generic", "avx2", "avx512_bf16", "amx_bf16")  # lowest first
BY_NAME = ("amx_bf16", "avx512_bf16", "avx2")  # tiers that a user may choose
# LLVM's names of what the CPU needs for each feature, and the lowest tier that may use the feature.
FEATURES = {
    "avx2": ("avx2", "fma"),
    "avx512f": ("avx512f",),
    "avx512_bf16": ("avx512bf16",),
    "amx_bf16": ("amx-tile", "amx-bf16"),
}
TIER_OF = {"avx2": "avx2", "avx512f": "avx2", "avx512_bf16": "avx512_bf16", "amx_bf16": "amx_bf16"}
SETTING = "TRIPTYCH_KERNELS"  # environment variable: the setting of a process that does not call `configure`
EMULATE = "TRIPTYCH_EMULATE"  # environment variable: features that tests emulate, separated by commas

# A plain layer's class -> the subclass that `accelerate` puts in its place. For inputs and number formats
# that no kernel supports, it computes the same by PyTorch's operations.
LAYERS = {
    "torch.nn.modules.conv.Conv2d": "triptych.kernels.conv.layer.Conv2d",
    "torch.nn.modules.linear.Linear": "triptych.kernels.linear.layer.Linear",
    "triptych.models.transformer.Attention": "triptych.kernels.attention.op.Attention",
}

# The compiled class or function of an operation that is not a layer.
OPERATIONS = {
    "render_views": "triptych.kernels.views.render.render_views",
    "radiance_tracer": "triptych.kernels.radiance.trace.KernelTracer",
    "radiance_renderer": "triptych.kernels.radiance.render.KernelRenderer",
    "radiance_density": "triptych.kernels.radiance.field.FieldKernels",
    "radiance_adam": "triptych.kernels.radiance.adam.step",
    "radiance_precision": "triptych.kernels.radiance.field.activation_type",
}

Model = TypeVar("Model", bound=nn.Module)

_tier: str | None = None  # None: not chosen yet


def configure(setting: str | bool) -> str:
    """Choose the kernels of this process and of those that it starts; call it before any kernel runs.

    `setting` is `auto` for the best tier of this CPU, `off` (which YAML reads as false), or a tier. Returns
    one of `TIERS`, or `off`.

    Raises:
        TriptychError: the CPU or this installation lacks the tier.
        RuntimeError: kernels of another tier are loaded already.
    """
    global _tier
    setting = "off" if setting is False else str(setting)
    chosen = _choose(setting)
    loaded = "triptych.kernels.compiler.jit" in sys.modules
    if loaded and "off" not in (_tier, chosen) and chosen != _tier:
        # kernels are compiled for one tier
        raise RuntimeError(f"kernels of tier {_tier} are loaded already")
    _tier, os.environ[SETTING] = chosen, setting
    return chosen


def tier() -> str:
    """The tier of this process; without `configure`, that of `TRIPTYCH_KERNELS` or the best one."""
    global _tier
    if _tier is None:
        _tier = _choose(os.environ.get(SETTING, "auto"))
    return _tier


def _choose(setting: str) -> str:
    best = "off"
    if why_unavailable() is None:
        best = next(tier for tier in reversed(TIERS) if tier == "generic" or _has(tier))
    if setting == "auto":
        return best
    if setting not in ("off", *TIERS):
        raise TriptychError(f"compute.kernels is {setting}; use auto, off, {', '.join(BY_NAME)}")
    if setting != "off" and (best == "off" or TIERS.index(setting) > TIERS.index(best)):
        reason = why_unavailable() or f"this CPU supports {best} at most"
        raise TriptychError(f"compute.kernels is {setting}, but {reason}; use auto")
    return setting


def supports(feature: str) -> bool:
    """Whether kernels may use a CPU feature: `amx_bf16`, `avx512_bf16`, `avx512f` or `avx2`.

    `bfloat16` stands for either instruction that multiplies bfloat16: amx_bf16 or avx512_bf16.
    """
    if feature == "bfloat16":
        return supports("amx_bf16") or supports("avx512_bf16")
    if tier() == "off" or TIERS.index(tier()) < TIERS.index(TIER_OF[feature]):
        return False
    return _has(feature)


def emulates(feature: str) -> bool:
    """Whether the feature's instructions are emulated in this process, for tests."""
    return feature in os.environ.get(EMULATE, "").split(",")


@cache
def why_unavailable() -> str | None:
    """Why no kernel can run in this installation; None if kernels can."""
    for package in ("numba", "llvmlite"):
        try:
            found = find_spec(package) is not None
        except ImportError:
            found = False
        if not found:
            return f"{package} is not installed"
    return None


def describe() -> str:
    """One line for the log: the tier, the CPU, and which float32 arithmetic is another than PyTorch's."""
    if tier() == "off":
        return f"off ({why_unavailable() or 'as configured'})"
    line = f"{tier()} ({cpu_model()})"
    if supports("avx2"):
        line += "; float32 3x3 convolutions by Winograd's minimal filtering"
    return line


def operation(name: str, device: torch.device | str) -> Any:
    """The compiled implementation of an operation of `OPERATIONS`; None: use plain PyTorch."""
    path = OPERATIONS[name]
    return _load(path) if torch.device(device).type == "cpu" and tier() != "off" else None


def accelerate(model: Model) -> Model:
    """Put compiled layers in the place of a CPU model's plain ones, in place.

    Parameters, names, hooks and train/eval mode stay. Layers of other classes, subclasses included, stay as
    they are.
    """
    if tier() != "off" and all(parameter.device.type == "cpu" for parameter in model.parameters()):
        for module in model.modules():
            path = LAYERS.get(f"{type(module).__module__}.{type(module).__qualname__}")
            if path is not None:
                module.__class__ = _load(path)
    return model


def _load(path: str) -> Any:
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)


@cache
def _has(feature: str) -> bool:
    """Whether the CPU has a feature and this process may use it, or a test emulates it."""
    if emulates(feature):
        return True
    # these variables make numba compile for another CPU than this one
    if os.environ.get("NUMBA_CPU_NAME") or os.environ.get("NUMBA_CPU_FEATURES"):
        return False
    import llvmlite.binding as llvm

    try:
        host = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell on this platform
        return False
    if not all(host.get(name) for name in FEATURES[feature]):
        return False
    return feature != "amx_bf16" or _may_use_tile_registers()


def _may_use_tile_registers() -> bool:
    """Ask Linux for the right to use AMX's registers."""
    if platform.system() != "Linux":
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18  # x86-64
    return ctypes.CDLL(None).syscall(arch_prctl, request_permission, tile_data) == 0
