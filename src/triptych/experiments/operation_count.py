"""Floating-point operations of a network, by torch's counter; the same on every machine."""

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

TRAINING = 3  # forward and backward pass together, relative to forward: backward has two products for each


def forward_flops(model: nn.Module, image_size: int) -> int:
    """Floating-point operations of the forward pass for one image of this side, two per multiply-add.

    Counts matrix products and convolutions, as is usual; norms, activations and sums are a few percent more.
    The pass is on the CPU in eval mode, float32 and without gradients, not accelerated. Attention runs as
    plain products, since fused forms escape the count, as the products inside of recurrent layers and
    compiled kernels do.
    """
    training, fast = model.training, torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 3, image_size, image_size))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    model.train(training)
    return int(counter.get_total_flops())


def training_flops(forward: int, images: int) -> int:
    """Floating-point operations of a training that runs `images` images forward and backward.

    Kaplan et al., Scaling Laws for Neural Language Models, 2020 (section 2.1): backward is twice forward.
    """
    return TRAINING * forward * images
