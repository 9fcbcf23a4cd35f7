"""Working space: one buffer per thread, cut into named arrays without allocation.

A layout is a named tuple of shapes (planes, rows, lanes), or of further such named tuples. `carve` gives the
same named tuple with an array in the place of every shape, and `floats` is the size of the buffer that it
needs. So a new array is one field and one shape. Compiled code reads a field of a named tuple at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import types as _types
from numba.core import cgutils
from numba.np.arrayobj import make_array, populate_array

from beamfold.kernels.linalg import Planes, kernel
from beamfold.kernels.simd import intrinsic

types: Any = _types  # its names are made when Numba is imported
LINE = 16
"""Arrays begin at multiples of this many numbers, a cache line of float32: a register that straddles two
costs double."""


@kernel
def shape(planes: int, rows: int, lanes: int) -> Any:
    """A shape in a layout, in the place of an array."""
    return planes, rows, lanes


@lru_cache(maxsize=256)
def floats(layout: Any) -> int:
    """Numbers in the arrays of a layout."""
    if hasattr(layout, "_fields"):
        return sum(map(floats, layout))
    planes, rows, lanes = layout
    return -(-planes * rows * lanes // LINE) * LINE


def buffer_for(layout: Any, dtype: Any) -> Planes:
    """A buffer for a layout that begins on a cache line, all zero."""
    raw = np.zeros(floats(layout) + 64, dtype)
    skip = -(raw.ctypes.data // raw.itemsize) % (64 // raw.itemsize)
    return raw[skip : skip + floats(layout)]


class Buffers:
    """Buffers for a layout, one for each thread that works at the same time, kept from call to call."""

    def __init__(self, layout: Any, dtype: Any) -> None:
        self._layout, self._dtype = layout, dtype
        self._spare: list[Planes] = []

    @contextmanager
    def lent(self) -> Iterator[Planes]:
        """A buffer for the calling thread; it may hold what another channel left there."""
        try:
            buffer = self._spare.pop()
        except IndexError:
            buffer = buffer_for(self._layout, self._dtype)
        yield buffer
        self._spare.append(buffer)


def _arrays(layout: Any, view: Any) -> Any:
    """The Numba type of what `carve` gives for the Numba type of a layout."""
    if isinstance(layout, types.BaseNamedTuple):
        parts = [_arrays(part, view) for part in layout.types]
        return types.BaseTuple.from_types(parts, layout.instance_class)
    return view


@intrinsic
def carve(typing: Any, buffer: Any, layout: Any) -> Any:
    """The arrays of a layout, one after the other in the buffer, which its caller must keep.

    They own nothing, so that no function that they are handed to counts references.
    """
    view = types.Array(buffer.dtype, 3, "C")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = make_array(buffer)(context, builder, args[0])
        place = cgutils.alloca_once_value(builder, whole.data)
        size = context.get_abi_sizeof(context.get_data_type(view.dtype))
        constant = partial(context.get_constant, types.intp)

        def build(part: Any, value: Any) -> Any:
            inside = [builder.extract_value(value, i) for i in range(len(part))]
            if isinstance(part, types.BaseNamedTuple):
                made = [build(kind, each) for kind, each in zip(part.types, inside, strict=True)]
                return context.make_tuple(builder, _arrays(part, view), made)
            lengths = [context.cast(builder, *pair, types.intp) for pair in zip(inside, part, strict=True)]
            row = builder.mul(lengths[2], constant(size))
            strides = [builder.mul(row, lengths[1]), row, constant(size)]
            array, data = make_array(view)(context, builder), builder.load(place)
            populate_array(array, data, lengths, strides, constant(size), None)
            count = builder.mul(builder.mul(lengths[0], lengths[1]), lengths[2])
            lines = builder.sdiv(builder.add(count, constant(LINE - 1)), constant(LINE))
            builder.store(builder.gep(data, [builder.mul(lines, constant(LINE))]), place)
            return array._getvalue()

        return build(layout, args[1])

    return _arrays(layout, view)(buffer, layout), code


@intrinsic
def of_shape(typing: Any, array: Any, planes: Any, rows: Any, lanes: Any) -> Any:
    """The same array, whose shape the compiler knows where the three numbers are constants.

    Loops over it then have a known length, and short ones are written out. The shape must be the array's own.
    """
    view = types.Array(array.dtype, 3, "C")

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, out = make_array(array)(context, builder, args[0]), make_array(view)(context, builder)
        lengths = [
            context.cast(builder, value, kind, types.intp)
            for value, kind in zip(args[1:], signature.args[1:], strict=True)
        ]
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(view.dtype)))
        row = builder.mul(lengths[2], size)
        populate_array(out, source.data, lengths, [builder.mul(row, lengths[1]), row, size], size, None)
        return out._getvalue()

    return view(array, planes, rows, lanes), code
