"""AMX: products of 16 x 32 and 32 x 16 bfloat16 blocks in one instruction (Intel SDM, volume 1, chapter 18).

Tiles 0 to 3 hold sums, 4 and 5 blocks of the left matrix, 6 and 7 of the right one. A right
block is stored in pairs of rows: [k / 2][n][k % 2]. Only call these with AMX.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

BYTE, WORD = ir.IntType(8), ir.IntType(64)
TILE = 1024  # bytes: 16 rows of 64

# All eight tiles: 16 rows of 64 bytes.
CONFIGURATION = np.zeros(64, dtype=np.uint8)
CONFIGURATION[0] = 1
CONFIGURATION[16:32].view(np.uint16)[:] = 64
CONFIGURATION[48:56] = 16


def _call(context: Any, builder: Any, name: str, *arguments: Any) -> Any:
    function_type = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(builder.module.declare_intrinsic(f"llvm.x86.{name}", (), function_type), arguments)
    return context.get_dummy_value()


def _number(tile: Any) -> Any:
    return ir.Constant(BYTE, tile.literal_value)


@intrinsic
def tile_configure(typing: Any, configuration: Any) -> Any:
    """Load the shapes of all tiles from the address of `CONFIGURATION`."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _call(context, builder, "ldtilecfg", builder.inttoptr(arguments[0], BYTE.as_pointer()))

    return types.void(types.intp), generate


@intrinsic(prefer_literal=True)
def tile_zero(typing: Any, tile: Any) -> Any:
    """Set a tile, given by a literal number, to zero."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        return _call(context, builder, "tilezero", _number(tile))

    return types.void(tile), generate


def _mover(name: str) -> Any:
    def move(typing: Any, tile: Any, address: Any, stride: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[1], BYTE.as_pointer())
            return _call(context, builder, name, _number(tile), pointer, arguments[2])

        return types.void(tile, types.intp, types.intp), generate

    return move


@intrinsic(prefer_literal=True)
def tile_load(typing: Any, tile: Any, address: Any, stride: Any) -> Any:
    """Load 16 rows of 64 bytes, `stride` bytes apart."""
    return _mover("tileloadd64")(typing, tile, address, stride)


@intrinsic(prefer_literal=True)
def tile_store(typing: Any, tile: Any, address: Any, stride: Any) -> Any:
    """Store 16 rows of 64 bytes, `stride` bytes apart."""
    return _mover("tilestored64")(typing, tile, address, stride)


@intrinsic(prefer_literal=True)
def tile_multiply(typing: Any, total: Any, left: Any, right: Any) -> Any:
    """Add the product of two tiles to a third."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        return _call(context, builder, "tdpbf16ps", _number(total), _number(left), _number(right))

    return types.void(total, left, right), generate
