"""What `tile_parts` does, by AVX512-BF16's products of pairs; only with AVX512-BF16."""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.gemm.registers import add_strip, multiply_strip

BITS = np.uint16(0)  # a type
# 16 sums of 16 numbers: as many as hide the time that a product takes, in the 32 registers there are.
ROWS, VECTORS = (0,) * 8, (0,) * 2
TALL_ROWS, NARROW_VECTORS = (0,) * 16, (0,)


@kernel
def begin_parts():
    """Nothing is to be prepared."""


@kernel
def multiply_part(left, left_bytes, depth, right, right_bytes, out, out_bytes, wide):
    """See `tile_parts.multiply_part`."""
    if wide:
        for row in range(0, 32, 8):
            a, c = left + row * left_bytes, out + row * out_bytes
            multiply_strip(
                a, left_bytes, 4, right, right_bytes, c, out_bytes, depth // 2, ROWS, VECTORS, BITS
            )
        return
    for row in range(0, 32, 16):
        a, c = left + row * left_bytes, out + row * out_bytes
        multiply_strip(
            a, left_bytes, 4, right, right_bytes, c, out_bytes, depth // 2, TALL_ROWS, NARROW_VECTORS, BITS
        )


@kernel
def add_part(left, left_bytes, depth, right, right_bytes, out, out_bytes, tall):
    """See `tile_parts.add_part`."""
    for row in range(0, 32 if tall else 16, 8):
        a, c = left + row * left_bytes, out + row * out_bytes
        add_strip(a, left_bytes, 4, right, right_bytes, c, out_bytes, depth // 2, ROWS, VECTORS, BITS)
