"""Compiling the kernels: with which options, and when LLVM optimises them.

A kernel that is compiled because another one calls it is optimised there, as a part of the caller, and not
before: it takes 0.6 of the time to compile, and the code is faster (24 % on the fast design of N = 64). Where
a release of Numba has no such step of its own that could be left out, nothing is changed. `code_cache` keeps
the compiled code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
from llvmlite.binding import Linkage
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass

from beamfold.kernels.code_cache import KernelCache, code_folder, has_goal, is_for

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


class _AsItIs(AnalysisPass):
    """Leaves the optimisation of a kernel to the one in which it is called."""

    _name = "beamfold_as_it_is"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Give the kernel a library whose code is compiled as it is; nothing of the code changes."""
        _library(state)._optimize_final_module = lambda: None
        return False


class _AsAWhole(AnalysisPass):
    """Optimises a kernel together with all that it calls."""

    _name = "beamfold_as_a_whole"

    def __init__(self) -> None:
        AnalysisPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Give the kernel a library that keeps its own copies of what it calls.

        LLVM would else call the copies that are in memory already, which were compiled as they are. The own
        ones are private: under their names others could find them, and their arguments may have changed.
        """
        library = _library(state)
        optimise = library._optimize_final_module

        def own_copies_first() -> None:
            for function in library._final_module.functions:
                if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                    function.linkage = Linkage.private
            optimise()

        library._optimize_final_module = own_copies_first
        return False


for _each in (_AsItIs, _AsAWhole):
    register_pass(mutates_CFG=False, analysis_only=True)(_each)


def _library(state: Any) -> Any:
    """The library of a kernel's code, as Numba's own lowering makes it where there is none."""
    if state.library is None:
        state.library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        state.library.enable_object_caching()
    return state.library


class _Pipeline(CompilerBase):
    """Numba's compiler, but for when kernels are optimised that are compiled because another calls them."""

    _depth = 0  # of calls; one thread compiles at a time, under Numba's lock

    def compile_extra(self, function: Any) -> Any:
        """Compile a function; those that it calls are compiled meanwhile, by other objects of this class."""
        _Pipeline._depth += 1
        try:
            return super().compile_extra(function)
        finally:
            _Pipeline._depth -= 1

    def define_pipelines(self) -> list[Any]:
        """Numba's passes, and the one that says when the code is optimised."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        if hasattr(CPUCodeLibrary, "_optimize_final_module"):
            first, _ = passes.passes[0]
            passes.add_pass_after(_AsItIs if _Pipeline._depth > 1 else _AsAWhole, first)
        passes.finalize()
        return [passes]


def compiled(**options: Any) -> Callable[[Kernel], Kernel]:
    """`numba.njit` for a kernel, its code kept in `code_folder`.

    The order of sums may change ("reassoc"). "nnan" and "ninf" are left out, since the kernels look for NaN
    and Inf, and so is "nsz". No kernel is passed to another as a function, so the wrapper for that is not
    compiled.
    """
    options |= {
        "fastmath": {"arcp", "contract", "afn", "reassoc"},
        "nogil": True,
        "error_model": "numpy",
        "no_cfunc_wrapper": True,
        "pipeline_class": _Pipeline,
    }

    def decorate(function: Kernel) -> Kernel:
        dispatcher: Any = numba.njit(**options)(function)
        if code_folder() is not None:
            dispatcher._cache = KernelCache(function)
        kernel: Kernel = dispatcher
        return kernel

    return decorate


def is_compiled(kernel: Any, scalar: str = "float32", *, goal: bool = False) -> bool:
    """Whether a kernel need not be compiled in this process: its code is in memory or in the cache folder.

    Args:
        kernel: a kernel, for example `kernels.fast_design.designs`.
        scalar: the precision asked for, "float32" or "float64".
        goal: for another sensing goal than τ.
    """
    if any(is_for(each, scalar) and has_goal(each) == goal for each in kernel.signatures):
        return True
    kept = kernel._cache
    return isinstance(kept, KernelCache) and kept.holds(scalar, goal)


def direct(kernel: Any, *arguments: Any) -> Any:
    """A kernel that was called with such arguments, without the look at their types with which calls begin.

    That look takes 2 to 5 µs, as long as a comparison with the start (26). The result may be called with
    arguments of exactly these types and dimensions alone: it would read any others as if they were.
    """
    try:
        return kernel.overloads[tuple(kernel.typeof_pyval(value) for value in arguments)].entry_point
    except (AttributeError, KeyError):  # no compiled code, or a Numba that keeps it elsewhere
        return kernel
