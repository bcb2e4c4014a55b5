"""Products of small parts of matrices whose sums stay in vector registers.

All matrices are given by addresses, which are integers, and distances in bytes; nothing is
bounds-checked. Float32 runs anywhere. Bfloat16 goes by pairs along the contraction, of which a word
of four bytes holds one, as AVX512-BF16 multiplies them: only call it there.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from triptych.kernels.compiler.llvm import FLOAT, INT32, Bfloat16, load, offset, pointer, splat

SUMS = ir.VectorType(FLOAT, 16)
WORDS, PAIRS = ir.VectorType(INT32, 16), ir.VectorType(Bfloat16(), 32)
VECTOR = 64  # bytes


def _multiply_add(builder: Any, like: Any, left: Any, right: Any, total: Any) -> Any:
    """Total + left * right for 16 sums; `left`, one word, meets each word of `right`."""
    if like == types.float32:
        product = builder.fmul(splat(builder, left, 16), right, flags=("contract",))
        return builder.fadd(total, product, flags=("contract",))
    function = ir.FunctionType(SUMS, [SUMS, PAIRS, PAIRS])
    dot = builder.module.declare_intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", (), function)
    pairs = [builder.bitcast(words, PAIRS) for words in (splat(builder, left, 16), right)]
    return builder.call(dot, [total, *pairs])


def _generator(height: int, vectors: int, like: Any, *, add: bool) -> Any:
    word, line = (FLOAT, SUMS) if like == types.float32 else (INT32, WORDS)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        a, a_row, a_word, b, b_word, c, c_row, depth, *_ = arguments
        targets, sums = [], []
        for _row in range(height):
            for vector in range(vectors):
                target = offset(builder, c, VECTOR * vector)
                total = cgutils.alloca_once(builder, SUMS)
                start = load(builder, target, SUMS) if add else ir.Constant(SUMS, [0.0] * 16)
                builder.store(start, total)
                targets.append(target)
                sums.append(total)
            c = builder.add(c, c_row)
        with cgutils.for_range(builder, depth, intp=depth.type) as loop:
            below = builder.add(b, builder.mul(loop.index, b_word))
            right = [load(builder, offset(builder, below, VECTOR * v), line) for v in range(vectors)]
            left = builder.add(a, builder.mul(loop.index, a_word))
            for row in range(height):
                number = load(builder, left, word)
                for total, numbers in zip(sums[row * vectors :], right, strict=False):
                    new = _multiply_add(builder, like, number, numbers, builder.load(total))
                    builder.store(new, total)
                left = builder.add(left, a_row)
        for target, total in zip(targets, sums, strict=True):
            builder.store(builder.load(total), pointer(builder, target, SUMS), align=4)
        return context.get_dummy_value()

    return generate


def _strip_intrinsic(*, add: bool) -> Any:
    """c[m, n] = sum over k of a[m, k] * b[k, n], added to c or not, for len(rows) x 16 len(vectors) of c.

    The arguments of what is returned:
        a, b, c: addresses; c is float32.
        a_row, c_row: bytes from one row to the next.
        a_word, b_word: bytes from one k to the next; a word is a float32 or a pair of bfloat16.
        depth: words to sum over.
        rows, vectors: tuples whose lengths count.
        like: a number of the type of a and b: float32, or uint16 for bfloat16.
    """

    def strip(
        typing: Any,
        a: Any,
        a_row: Any,
        a_word: Any,
        b: Any,
        b_word: Any,
        c: Any,
        c_row: Any,
        depth: Any,
        rows: Any,
        vectors: Any,
        like: Any,
    ) -> Any:
        generate = _generator(rows.count, vectors.count, like, add=add)
        return types.void(*[types.intp] * 8, rows, vectors, like), generate

    return intrinsic(strip)


multiply_strip, add_strip = _strip_intrinsic(add=False), _strip_intrinsic(add=True)
