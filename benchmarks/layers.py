"""How fast are the products of single layers by the compiled kernels and by PyTorch, on a CPU without AMX?

Milliseconds of the output, the input gradient and the gradient of the parameters: the best of several
rounds, in turns with PyTorch.

- Convolutions, named by their channels and the side of the map: of 256 images by Winograd's minimal
  filtering, of 512 images with 2 x 2 outputs by batched products; in float32 (AVX2) and in bfloat16
  (AVX512-BF16).
- With AVX512-BF16, a linear layer of 8320 rows, 512 to 1536 channels.
- With AVX512-BF16, attention of the config's ViT for 128 images, forward and backward: by the kernel, by
  plain products and in PyTorch's fused form.
"""

import time
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.kernels.attention.op import attention
from triptych.kernels.conv import batched_gemm, winograd_bf16, winograd_fp32
from triptych.kernels.linear import kernel as linear_kernel
from triptych.kernels.registry import supports
from triptych.training.memory import keep_large_allocations
from triptych.workflow.errors import TriptychError

ROUNDS, ROWS, CHANNELS = 15, 8320, (512, 1536)
ATTENTION = 128, 65, 8, 64  # images, tokens, heads, their width: the config's ViT
IMAGES = {winograd_bf16: 256, winograd_fp32: 256, batched_gemm: 512}
# channels in and out, side of the input, stride
PLAIN = (64, 64, 32, 1), (128, 128, 16, 1), (256, 256, 8, 1), (512, 512, 4, 1)
STRIDED = (64, 128, 32, 2), (128, 256, 16, 2), (256, 512, 8, 2)
SMALL = (512, 512, 2, 1), (256, 512, 4, 2)
CONVOLUTIONS = {
    torch.bfloat16: {winograd_bf16: PLAIN + STRIDED, batched_gemm: SMALL},
    torch.float32: {winograd_fp32: PLAIN, batched_gemm: SMALL},
}
WHAT = "output", "input_gradient", "parameter_gradient"
Products = list[Callable[[], Any]]


def convolution(
    dtype: torch.dtype, backend: ModuleType, channels_in: int, channels: int, side: int, stride: int
) -> tuple[Products, Products]:
    """The three products by the kernels and by PyTorch."""
    layout = torch.channels_last
    x = torch.randn(IMAGES[backend], channels_in, side, side).to(dtype).contiguous(memory_format=layout)
    dy = torch.randn(IMAGES[backend], channels, side // stride, side // stride).to(dtype)
    dy = dy.contiguous(memory_format=layout)
    filters = torch.randn(channels, channels_in, 3, 3).contiguous(memory_format=layout)
    rounded = filters.to(dtype)
    taken = filters.to(backend.WEIGHTS or dtype)

    def back(*wanted: bool) -> object:
        return torch.ops.aten.convolution_backward(
            dy, x, rounded, None, [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1, [*wanted, False]
        )

    kernels: Products = [
        lambda: backend.output(x, taken, stride),
        lambda: backend.input_gradient(dy, taken, side, stride),
        lambda: backend.weight_gradient(x, dy, 3, stride),
    ]
    pytorch: Products = [
        lambda: torch.conv2d(x, rounded, None, stride, 1),
        lambda: back(True, False),
        lambda: back(False, True),
    ]
    return kernels, pytorch


def linear() -> tuple[Products, Products]:
    """The three products by the kernels and by PyTorch, with the bias."""
    depth, channels = CHANNELS
    x, dy = torch.randn(ROWS, depth).bfloat16(), torch.randn(ROWS, channels).bfloat16()
    weight, bias = torch.randn(channels, depth).bfloat16(), torch.randn(channels)
    rounded = bias.bfloat16()
    kernels: Products = [
        lambda: linear_kernel.output(x, weight, bias),
        lambda: linear_kernel.input_gradient(dy, weight),
        lambda: linear_kernel.weight_gradient(x, dy),
    ]
    pytorch: Products = [
        lambda: F.linear(x, weight, rounded),
        lambda: dy @ weight,
        lambda: (dy.T @ x, dy.sum(dim=0)),
    ]
    return kernels, pytorch


def attention_forms() -> dict[str, Callable[[], object]]:
    """Forward and backward by the kernel, by plain products and by PyTorch's fused form."""
    images, tokens, heads, width = ATTENTION
    qkv = torch.randn(images, tokens, 3 * heads * width).bfloat16().requires_grad_()
    dy = torch.randn(images, tokens, heads * width).bfloat16()

    def through(form: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[], object]:
        def both_ways() -> object:
            q, k, v = qkv.view(images, tokens, 3, heads, width).permute(2, 0, 3, 1, 4)
            out = form(q, k, v).transpose(1, 2).reshape(dy.shape)
            return torch.autograd.grad(out, qkv, dy)

        return both_ways

    return {
        "attention": lambda: torch.autograd.grad(attention(qkv, heads), qkv, dy),
        "attention_products": through(
            lambda q, k, v: (q @ k.transpose(-2, -1) * width**-0.5).softmax(dim=-1) @ v
        ),
        "attention_fused": through(F.scaled_dot_product_attention),
    }


def milliseconds(functions: Products) -> list[float]:
    """The best time of each, taken in turns."""
    best = [float("inf")] * len(functions)
    for round_ in range(ROUNDS + 1):
        for number, function in enumerate(functions):
            began = time.perf_counter()
            function()
            if round_:  # the first round compiles and warms up
                best[number] = min(best[number], 1000 * (time.perf_counter() - began))
    return best


def measure() -> dict[str, float | str]:
    """Layer by layer. Raises `TriptychError` if the CPU has no instructions that the kernels need."""
    formats = {torch.bfloat16: supports("avx512_bf16"), torch.float32: supports("avx2")}
    if not any(formats.values()):
        raise TriptychError("layers: this CPU has neither AVX2 nor AVX512-BF16, which the kernels need")
    keep_large_allocations()
    layers = {
        f"{prefix}{shape[0]}_to_{shape[1]}_side_{shape[2]}": partial(convolution, dtype, backend, *shape)
        for dtype, prefix in ((torch.bfloat16, ""), (torch.float32, "float32_"))
        if formats[dtype]
        for backend, shapes in CONVOLUTIONS[dtype].items()
        for shape in shapes
    }
    if supports("avx512_bf16"):
        layers["linear"] = partial(linear)
    metrics: dict[str, float | str] = {}
    for name, draw in layers.items():
        kernels, pytorch = draw()
        times = milliseconds([*kernels, *pytorch])
        for what, own, other in zip(WHAT, times[:3], times[3:], strict=True):
            metrics |= {f"{name}_{what}": own, f"{name}_{what}_torch": other}
    forms = attention_forms() if supports("avx512_bf16") else {}
    return metrics | dict(zip(forms, milliseconds(list(forms.values())), strict=True))
