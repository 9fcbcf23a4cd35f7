"""A vector register as a Numba type, so that kernels keep complex rows in registers and stay readable.

The kernels work on short rows (a few dozen lanes) whose length is known when they are compiled. LLVM's
loop vectoriser gives up on them (the arrays might alias), and the code comes out scalar, ten times
slower. A `Register` is a first-class LLVM vector <lanes x float>: `load`, `store`, `splat`, `fma` and
`total` below emit exactly the vector instruction they name, and LLVM splits a register over as many
machine registers as the processor's own width asks for (AVX-512, AVX2, NEON). `LANES` is the width of rows
along the antennas or the coordinates, `NARROW` that of rows along the RF chains or the users.

Arrays are (2, rows, lanes · n): plane 0 real, plane 1 imaginary, rows contiguous.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel.models import PrimitiveModel
from numba.core.datamodel.registry import register_default
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic  # Numba declares what it decorates with the arguments of the compiler
LANES, NARROW = 16, 4


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


def _pick(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    kind = ir.VectorType(ir.IntType(32), len(lanes))
    return builder.shuffle_vector(a, b, ir.Constant(kind, lanes))


@intrinsic
def totals(typing: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """[Σ a, Σ b, Σ c, Σ d] as a register of four lanes, in half the instructions of four sums."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        L = a.lanes

        def fold(x: Any, y: Any, part: int) -> Any:
            """Segments of length `part` in x and in y, each added to its own other half."""
            low = [i for i in range(2 * L) if i % part < part // 2]
            high = [i + part // 2 for i in low]
            return builder.fadd(_pick(builder, x, y, low), _pick(builder, x, y, high))

        value = fold(fold(args[0], args[1], L), fold(args[2], args[3], L), L // 2)
        part = L // 4
        while part > 1:
            low = [i for i in range(4 * part) if i % part < part // 2]
            high = [i + part // 2 for i in low]
            none = ir.Constant(value.type, ir.Undefined)
            value = builder.fadd(_pick(builder, value, none, low), _pick(builder, value, none, high))
            part //= 2
        return value

    return Register(a.dtype, 4)(a, b, c, d), code


@intrinsic
def log2(typing: Any, a: Any) -> Any:
    """log₂ a, lane by lane, for normal a > 0: exponent + 2/ln 2 artanh((m − 1)/(m + 1)), √½ ≤ m < √2."""
    single = a.dtype == types.float32
    bits, mantissa, terms = (32, 23, 5) if single else (64, 52, 11)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        real = args[0].type
        whole = ir.VectorType(ir.IntType(bits), a.lanes)
        number = lambda x: ir.Constant(real, [x] * a.lanes)  # noqa: E731
        integer = lambda x: ir.Constant(whole, [x] * a.lanes)  # noqa: E731
        # Bits of √½: what lies above them, shifted, is the exponent of a number in [√½, √2).
        offset = 0x3F3504F3 if single else 0x3FE6A09E667F3BCD
        raw = builder.sub(builder.bitcast(args[0], whole), integer(offset))
        exponent = builder.sitofp(builder.ashr(raw, integer(mantissa)), real)
        fraction = builder.add(builder.and_(raw, integer((1 << mantissa) - 1)), integer(offset))
        m = builder.bitcast(fraction, real)
        z = builder.fdiv(builder.fsub(m, number(1.0)), builder.fadd(m, number(1.0)))
        z2 = builder.fmul(z, z)
        series = number(0.0)
        for k in range(terms, -1, -1):
            series = builder.fadd(builder.fmul(series, z2), number(2.8853900817779268 / (2 * k + 1)))
        return builder.fadd(builder.fmul(series, z), exponent)

    return a(a), code
