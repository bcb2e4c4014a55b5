"""Products of bfloat16 matrices in AMX's tile registers (Intel SDM, volume 1, chapter 18).

A tile holds 16 rows of 64 bytes: 16 x 32 numbers of the left matrix, 32 x 16 of the right one in pairs of
rows ([k / 2][n][k % 2]), or 16 x 16 float32 sums. Tiles 0 to 3 hold sums of 32 rows and 32 columns, 4 and 5
the left matrix, 6 and 7 the right one.

Where the instructions are emulated, the registers are plain memory. There is one set of them, so emulated
kernels must not run side by side: they keep the GIL.
"""

import inspect
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.llvm import (
    LANES,
    WORDS,
    instruction,
    load,
    multiply_add,
    named_as,
    pointer,
    splat,
    store,
)
from triptych.kernels.registry import emulates

EMULATED = emulates("amx_bf16")
BYTE, INT64 = ir.IntType(8), ir.IntType(64)
BLOCK = 2048  # bytes of 32 x 32 bfloat16

# The shapes of all eight tiles: 16 rows of 64 bytes.
CONFIGURATION = np.zeros(64, dtype=np.uint8)
CONFIGURATION[0] = 1
CONFIGURATION[16:32].view(np.uint16)[:] = 64
CONFIGURATION[48:56] = 16


def _call(builder: Any, name: str, *arguments: Any) -> None:
    function = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(builder.module.declare_intrinsic(f"llvm.x86.{name}", (), function), arguments)


def _row(builder: Any, tile: int, row: Any) -> Any:
    """A pointer to a row of an emulated tile."""
    name, kind = "triptych_emulated_tiles", ir.ArrayType(WORDS, 8 * 16)
    registers = builder.module.globals.get(name)
    if registers is None:
        registers = ir.GlobalVariable(builder.module, kind, name)
        registers.linkage, registers.initializer = "linkonce_odr", ir.Constant(kind, None)
    place = builder.add(row, ir.Constant(INT64, 16 * tile))
    return builder.gep(registers, [ir.Constant(INT64, 0), place])


@contextmanager
def _sixteen(builder):
    with cgutils.for_range(builder, ir.Constant(INT64, 16), intp=INT64) as loop:
        yield loop.index


def _move(builder: Any, name: str, tile: int, address: Any, stride: Any) -> None:
    if not EMULATED:
        _call(builder, name, ir.Constant(BYTE, tile), pointer(builder, address, BYTE), stride)
        return
    with _sixteen(builder) as row:
        memory, register = builder.add(address, builder.mul(row, stride)), _row(builder, tile, row)
        if name == "tileloadd64":
            builder.store(load(builder, memory, WORDS), register)
        else:
            store(builder, builder.load(register), memory)


@instruction()
def _configure(builder, kinds, configuration):
    if not EMULATED:
        _call(builder, "ldtilecfg", pointer(builder, configuration, BYTE))


def _tile_instruction(build):
    """`instruction` whose arguments of type int are literal numbers of tiles, and come first."""
    count = sum(parameter.annotation is int for parameter in inspect.signature(build).parameters.values())

    def definition(typing, *arguments):
        kinds = (*arguments[:count], *(types.intp for _ in arguments[count:]))

        def generate(context, builder, _signature, values):
            build(builder, *(tile.literal_value for tile in arguments[:count]), *values[count:])
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return intrinsic(prefer_literal=True)(named_as(definition, build, skip=1))


@_tile_instruction
def _zero(builder: Any, tile: int) -> None:
    if not EMULATED:
        return _call(builder, "tilezero", ir.Constant(BYTE, tile))
    with _sixteen(builder) as row:
        builder.store(ir.Constant(WORDS, [0] * 16), _row(builder, tile, row))
    return None


@_tile_instruction
def _load(builder: Any, tile: int, address: Any, stride: Any) -> None:
    _move(builder, "tileloadd64", tile, address, stride)


@_tile_instruction
def _store(builder: Any, tile: int, address: Any, stride: Any) -> None:
    _move(builder, "tilestored64", tile, address, stride)


@_tile_instruction
def _multiply_add(builder: Any, total: int, left: int, right: int) -> None:
    if not EMULATED:
        return _call(builder, "tdpbf16ps", *(ir.Constant(BYTE, tile) for tile in (total, left, right)))
    with _sixteen(builder) as row:
        place = _row(builder, total, row)
        numbers = builder.load(_row(builder, left, row))
        with _sixteen(builder) as k:
            factor = splat(builder, builder.extract_element(numbers, k))
            sums = builder.bitcast(builder.load(place), LANES)
            sums = multiply_add(builder, factor, builder.load(_row(builder, right, k)), sums)
            builder.store(builder.bitcast(sums, WORDS), place)
    return None


@kernel
def begin():
    """Give this thread's tiles their shapes."""
    _configure(CONFIGURATION.ctypes.data)


@kernel
def load_sums(c, row, tall, wide, add):
    """Begin with the sums at `c`, rows `row` bytes apart, or with zeros; 16 rows and columns, or 32."""
    if add:
        _load(0, c, row)
        if wide:
            _load(1, c + 64, row)
        if tall:
            _load(2, c + 16 * row, row)
            if wide:
                _load(3, c + 16 * row + 64, row)
    else:
        _zero(0)
        _zero(1)
        _zero(2)
        _zero(3)


@kernel
def accumulate(a, a_row, a_step, b, b_row, b_step, count, tall, wide):
    """Add the products of `count` pairs of blocks, `a_step` and `b_step` bytes apart."""
    for _ in range(count):
        _load(4, a, a_row)
        _load(6, b, b_row)
        _multiply_add(0, 4, 6)
        if tall:
            _load(5, a + 16 * a_row, a_row)
            _multiply_add(2, 5, 6)
        if wide:
            _load(7, b + 64, b_row)
            _multiply_add(1, 4, 7)
            if tall:
                _multiply_add(3, 5, 7)
        a += a_step
        b += b_step


@kernel
def store_sums(c, row, tall, wide):
    """Write the sums to `c`."""
    _store(0, c, row)
    if wide:
        _store(1, c + 64, row)
    if tall:
        _store(2, c + 16 * row, row)
        if wide:
            _store(3, c + 16 * row + 64, row)


@kernel
def multiply_bfloat16(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    """`gemm.multiply` of bfloat16: a_word is 4, words come in multiples of 16, rows are rounded up to 16."""
    a, b, c = np.int64(a), np.int64(b), np.int64(c)
    for row in range(0, rows, 32):
        tall = row + 16 < rows
        for column in range(0, columns, 32):
            wide, corner = column + 16 < columns, c + row * c_row + column * 4
            load_sums(corner, c_row, tall, wide, add)
            accumulate(a + row * a_row, a_row, 64, b + column * 4, b_row, 16 * b_row, words // 16, tall, wide)
            store_sums(corner, c_row, tall, wide)
