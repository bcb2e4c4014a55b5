"""Choice of the device and of its number format."""

from contextlib import AbstractContextManager, nullcontext

import torch

from triptych.workflow.errors import TriptychError
from triptych.workflow.provenance import describe_hardware, kernel_tier


def choose_device(name: str = "auto") -> torch.device:
    """Turn a recipe's `device` into a torch device.

    `auto` is CUDA if present, else Apple's MPS, else the CPU. Any torch device string
    is accepted as well; one that this machine lacks raises `TriptychError`.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise TriptychError(
            f"device: '{name}' is not available on this machine; use auto, cpu, or run where it exists"
        ) from error
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 matrix products run in hardware on `device`."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast context for a recipe's `precision`: `auto`, `bfloat16`, `float16` or `float32`.

    `auto` is bfloat16 where `has_fast_bfloat16` and float32 elsewhere.
    """
    if precision == "bfloat16" or (precision == "auto" and has_fast_bfloat16(device)):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    if precision == "float16":
        return torch.autocast(device.type, dtype=torch.float16)
    return nullcontext()


def describe_precision(device: torch.device, precision: str) -> str:
    """The name of the number format that `autocast` uses."""
    if precision == "float16":
        return precision
    return "float32" if isinstance(autocast(device, precision), nullcontext) else "bfloat16"


def describe_conditions(device: torch.device, precision: str) -> str:
    """What decides the last bits: `bfloat16 on 2 threads of <CPU>, kernels avx2` (see `Checkpoints`)."""
    hardware = describe_hardware(device=device.type)
    where = hardware.get("gpu", device.type)
    if device.type == "cpu":
        where = f"{hardware['threads']} threads of {hardware['cpu']}, kernels {kernel_tier('cpu')}"
    return f"{describe_precision(device, precision)} on {where}"
