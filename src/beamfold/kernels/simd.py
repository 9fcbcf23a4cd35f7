"""A vector register as a Numba type, so that kernels keep complex rows in registers and stay readable.

The kernels work on short rows (a few dozen lanes) whose length is known when they are compiled. LLVM's
loop vectoriser gives up on them (the arrays might alias), and the code comes out scalar, ten times
slower. A `Register` is a first-class LLVM vector <lanes x float>: `load`, `store`, `splat`, `fma` and
`total` below emit exactly the vector instruction they name, and LLVM splits a register over as many
machine registers as the processor's own width asks for (AVX-512, AVX2, NEON).

Arrays are (2, rows, lanes · n): plane 0 real, plane 1 imaginary, rows contiguous.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel, register_default
from numba.extending import intrinsic


class Register(types.Type):
    """<lanes x dtype>, dtype float32 or float64."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(name=f"Register({dtype}, {lanes})")


def _ir(dtype: Any, lanes: int) -> ir.VectorType:
    return ir.VectorType(ir.FloatType() if dtype == types.float32 else ir.DoubleType(), lanes)


@register_default(Register)
class _RegisterModel(PrimitiveModel):
    def __init__(self, manager: Any, register: Register) -> None:
        super().__init__(manager, register, _ir(register.dtype, register.lanes))


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, indices: Any, lanes: int) -> Any:
    struct = cgutils.create_struct_proxy(array_type)(context, builder, array)
    shape = cgutils.unpack_tuple(builder, struct.shape, array_type.ndim)
    strides = cgutils.unpack_tuple(builder, struct.strides, array_type.ndim)
    address = cgutils.get_item_pointer2(
        context, builder, struct.data, shape, strides, array_type.layout, indices, wraparound=False
    )
    return builder.bitcast(address, _ir(array_type.dtype, lanes).as_pointer())


def _size(dtype: Any) -> int:
    return 4 if dtype == types.float32 else 8


@intrinsic
def load(typing: Any, array: Any, plane: Any, row: Any, lane: Any, lanes: Any) -> Any:
    """array[plane, row, lane : lane + lanes]; lanes a compile-time constant."""
    count = lanes.literal_value if isinstance(lanes, types.IntegerLiteral) else None
    if count is None:
        return None
    result = Register(array.dtype, count)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, array, args[0], args[1:4], count)
        value = builder.load(pointer)
        value.align = _size(array.dtype)
        return value

    return result(array, plane, row, lane, lanes), code


@intrinsic
def store(typing: Any, array: Any, plane: Any, row: Any, lane: Any, value: Any) -> Any:
    """array[plane, row, lane : lane + lanes] = value."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, array, args[0], args[1:4], value.lanes)
        instruction = builder.store(args[4], pointer)
        instruction.align = _size(array.dtype)
        return context.get_dummy_value()

    return types.void(array, plane, row, lane, value), code


@intrinsic
def splat(typing: Any, value: Any, lanes: Any) -> Any:
    """A register with `value` in every lane."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _ir(value, count)
        one = builder.insert_element(
            ir.Constant(vector, ir.Undefined), args[0], ir.Constant(ir.IntType(32), 0)
        )
        mask = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)

    return Register(value, count)(value, lanes), code


@intrinsic
def zeros(typing: Any, array: Any, lanes: Any) -> Any:
    """A register of zeros in the precision of `array`."""
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    count = lanes.literal_value

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_ir(array.dtype, count), None)

    return Register(array.dtype, count)(array, lanes), code


@intrinsic
def like(typing: Any, array: Any, value: Any) -> Any:
    """A number in the precision of `array`: Numba would promote a float32 that meets a Python float."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.cast(builder, args[1], value, array.dtype)

    return array.dtype(array, value), code


def _call(builder: Any, name: str, vector: Any, *args: Any) -> Any:
    kind = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(vector, [vector] * len(args)), f"llvm.{name}.v{vector.count}{kind}"
    )
    return builder.call(function, args)


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a · b + c, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "fma", _ir(a.dtype, a.lanes), *args)

    return a(a, b, c), code


@intrinsic
def fnma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """c − a · b, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "fma", _ir(a.dtype, a.lanes), builder.fneg(args[0]), args[1], args[2])

    return a(a, b, c), code


@intrinsic
def multiply(typing: Any, a: Any, b: Any) -> Any:
    """a · b, lane by lane."""
    return a(a, b), lambda context, builder, signature, args: builder.fmul(*args)


@intrinsic
def add(typing: Any, a: Any, b: Any) -> Any:
    """a + b, lane by lane."""
    return a(a, b), lambda context, builder, signature, args: builder.fadd(*args)


@intrinsic
def subtract(typing: Any, a: Any, b: Any) -> Any:
    """a − b, lane by lane."""
    return a(a, b), lambda context, builder, signature, args: builder.fsub(*args)


@intrinsic
def divide(typing: Any, a: Any, b: Any) -> Any:
    """a / b, lane by lane."""
    return a(a, b), lambda context, builder, signature, args: builder.fdiv(*args)


@intrinsic
def root(typing: Any, a: Any) -> Any:
    """√a, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call(builder, "sqrt", _ir(a.dtype, a.lanes), args[0])

    return a(a), code


@intrinsic
def where_zero(typing: Any, test: Any, a: Any, b: Any) -> Any:
    """a where test ≥ 0 is below the smallest normal number, else b, lane by lane.

    A number below that has lost digits, and in float32 the compiler estimates 1/√test by an instruction that
    takes it for zero: a quotient by its root is infinite or NaN.
    """
    smallest = 2.0**-126 if test.dtype == types.float32 else 2.0**-1022

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        least = ir.Constant(_ir(test.dtype, test.lanes), [smallest] * test.lanes)
        return builder.select(builder.fcmp_ordered("<", args[0], least), args[1], args[2])

    return a(test, a, b), code


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum over the lanes, by halves."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, count = args[0], a.lanes
        if count & (count - 1):
            raise ValueError(f"a register has a power of two lanes, got {count}")
        while count > 1:
            count //= 2
            undefined = ir.Constant(value.type, ir.Undefined)
            kind = ir.VectorType(ir.IntType(32), count)
            low = builder.shuffle_vector(value, undefined, ir.Constant(kind, list(range(count))))
            high = builder.shuffle_vector(value, undefined, ir.Constant(kind, list(range(count, 2 * count))))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return a.dtype(a), code
