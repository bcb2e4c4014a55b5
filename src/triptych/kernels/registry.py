"""Every compiled CPU operation of the project, and when it is chosen: the only door to the kernels.

Nothing here imports a kernel or numba: what is chosen is loaded when it is first used. Without numba, with
`compute: {kernels: off}`, and on a GPU, plain PyTorch does everything.

A tier is a level of instructions; it includes the ones below it:

    amx_bf16      matrix products of bfloat16 in tile registers (Intel, from Sapphire Rapids)
    avx512_bf16   dot products of pairs of bfloat16 (AMD from Zen 4, Intel from Cooper Lake)
    avx2          fused multiply-add of 8 float32, or of 16 where the CPU has AVX-512
    generic       whatever the compiler makes of the loops
    off           no kernels

    operation                        amx_bf16             avx512_bf16          avx2
    3x3 convolution, bfloat16        conv.amx             conv.winograd_bf16   -
    3x3 convolution, float32         conv.winograd_fp32   conv.winograd_fp32   conv.winograd_fp32
    convolution of small maps        conv.amx             conv.batched_gemm    conv.batched_gemm (float32)
    linear layer, bfloat16           linear               linear               -
    attention, bfloat16              attention            attention            -
    add + layer norm, bfloat16       norm                 norm                 -
    batch norm + add + ReLU          norm                 norm                 norm (float32)
    radiance field, bfloat16         radiance             radiance             -
    radiance field, float32          radiance             radiance             radiance (generic as well)
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

TIERS = ("generic", "avx2", "avx512_bf16", "amx_bf16")
# What each tier adds, by LLVM's names of CPU features.
FEATURES = {
    "avx2": ("avx2", "fma"),
    "avx512f": ("avx512f",),
    "avx512_bf16": ("avx512bf16",),
    "amx_bf16": ("amx-tile", "amx-bf16"),
}
TIER_OF = {"avx2": "avx2", "avx512f": "avx2", "avx512_bf16": "avx512_bf16", "amx_bf16": "amx_bf16"}
SETTING = "TRIPTYCH_KERNELS"  # environment variable: the setting of a process that does not call `configure`
EMULATE = "TRIPTYCH_EMULATE"  # environment variable: features that tests emulate, separated by commas

# A plain layer's class -> the subclass that `accelerate` puts in its place. Each falls back on the plain
# layer's own forward for inputs, devices and number formats that no kernel supports.
LAYERS = {
    "torch.nn.modules.conv.Conv2d": "triptych.kernels.conv.layer.Conv2d",
    "torch.nn.modules.linear.Linear": "triptych.kernels.linear.layer.Linear",
    "torch.nn.modules.batchnorm.BatchNorm2d": "triptych.kernels.norm.batch_norm.BatchNorm2d",
    "triptych.models.resnet.BasicBlock": "triptych.kernels.models.resnet.BasicBlock",
    "triptych.models.resnet.ResNet18": "triptych.kernels.models.resnet.ResNet18",
    "triptych.models.transformer.Attention": "triptych.kernels.models.vit.Attention",
    "triptych.models.vit.ViT": "triptych.kernels.models.vit.ViT",
}

# What is not a layer: the class or function that replaces a plain one.
OPERATIONS = {
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

    Args:
        setting: `auto` for the best tier of this CPU, `off` (which YAML reads as false), or a tier.

    Returns:
        The tier: one of `TIERS`, or `off`.

    Raises:
        TriptychError: the CPU or this installation lacks the tier.
    """
    global _tier
    setting = "off" if setting is False else str(setting)
    chosen = _choose(setting)
    loaded = "triptych.kernels.compiler.jit" in sys.modules
    if loaded and "off" not in (_tier, chosen) and chosen != _tier:
        raise RuntimeError(f"kernels of tier {_tier} are loaded already")  # some are compiled for one tier
    _tier, os.environ[SETTING] = chosen, setting
    return chosen


def tier() -> str:
    """The tier of this process; without `configure`, that of `TRIPTYCH_KERNELS` or the best one."""
    global _tier
    if _tier is None:
        _tier = _choose(os.environ.get(SETTING, "auto"))
    return _tier


def _choose(setting: str) -> str:
    best = next(t for t in reversed(TIERS) if t == "generic" or _has(t)) if unavailable() is None else "off"
    if setting == "auto":
        return best
    if setting not in ("off", *TIERS):
        raise TriptychError(f"compute.kernels is {setting}; use auto, off, {', '.join(TIERS[:0:-1])}")
    if setting != "off" and (best == "off" or TIERS.index(setting) > TIERS.index(best)):
        reason = unavailable() or f"this CPU supports {best} at most"
        raise TriptychError(f"compute.kernels is {setting}, but {reason}; use auto")
    return setting


def supports(feature: str) -> bool:
    """Whether kernels may use a CPU feature: `amx_bf16`, `avx512_bf16`, `avx512f`, `avx2`; or `bfloat16`.

    `bfloat16` stands for products of bfloat16 by any instruction: amx_bf16 or avx512_bf16.
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
def unavailable() -> str | None:
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
    """One line for the log: the tier, the CPU, and where float32 arithmetic differs from PyTorch's."""
    if tier() == "off":
        return f"off ({unavailable() or 'as configured'})"
    line = f"{tier()} ({cpu_model()})"
    if supports("avx2"):
        line += "; float32 3x3 convolutions by Winograd's minimal filtering"
    return line


def operation(name: str, device: torch.device | str) -> Any:
    """The compiled implementation of an operation of `OPERATIONS`; None where plain PyTorch does it."""
    path = OPERATIONS[name]
    return _load(path) if torch.device(device).type == "cpu" and tier() != "off" else None


def accelerate(model: Model) -> Model:
    """Put compiled layers in the place of a CPU model's plain ones, in place.

    Parameters, names, hooks and modes stay; layers of other classes, subclasses included, stay as they are.
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
    # these compile for another CPU than this one
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
