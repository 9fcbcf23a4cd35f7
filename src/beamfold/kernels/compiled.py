"""Compiling the kernels, and keeping the compiled code in the user's cache folder.

Numba keeps the compiled code of a function beside its source file, and compiles anew where that file
changed. But a kernel contains the code of the kernels that it calls, from other files, too. Here the folder's
name is a hash of all sources that compiled code can contain and of Numba's version: code of other sources is
never loaded, whatever the file times are, and the package's own folder is never written.

A kernel that is compiled because another one calls it is optimised there, as a part of the caller, and not
before: it takes 0.6 of the time to compile, and the code is faster (24 % on the fast design of N = 64). Where
a release of Numba has no such step of its own that could be left out, nothing is changed.

The setting NUMBA_CACHE_DIR of Numba stays in force: then the folder lies in that place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
from llvmlite.binding import Linkage
from numba import types
from numba.core import config as _config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.codegen import CPUCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys

from beamfold import cache

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
GOAL = "Sensed"
"""The named tuple of `fast_workspace` by which kernels for another goal than τ are known."""
config: Any = _config  # its names are set when Numba is imported
SOURCES = ("beamfold.kernels", "beamfold.start")
"""Where the code and the constants of the kernels come from."""


WITHOUT_REFRESH = "0.68."
"""The release of Numba of which it is known that compiled code can be loaded without `refresh`."""


@lru_cache(maxsize=1)
def code_folder() -> Path | None:
    """The folder of the code that these sources compile to; None where there can be no folder."""
    try:
        name = cache.fingerprint(SOURCES, numba.__version__, llvmlite.__version__)
    except OSError as error:  # a program that was frozen without its sources
        cache.unusable(cache.root(), f"no sources: {error}")
        return None
    if config.CACHE_DIR:
        return Path(config.CACHE_DIR) / f"beamfold-{name}"
    place = cache.folder(f"kernels/{name}")
    if place is not None:
        cache.mark_used(place)
        with contextlib.suppress(OSError):
            cache.remove_unused(other for other in place.parent.iterdir() if other != place)
    return place


class _Place(_CacheLocator):
    """Numba's question where the code of a function is kept, answered with `code_folder`."""

    def __init__(self, py_func: Any, py_file: str, folder: Path) -> None:
        self._py_file, self._folder = py_file, folder
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def get_source_stamp(self) -> str:
        """What the index of a function must agree with: the folder's name, which the sources determine."""
        return self._folder.name

    def get_disambiguator(self) -> str:
        """What tells functions of the same name in one file apart."""
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Place | None:
        """The place of a function's code, or None where there is no folder."""
        place = code_folder()
        return None if place is None else cls(py_func, py_file, place)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = [_Place]  # type: ignore[list-item]  # noqa: RUF012


class _KernelCache(FunctionCache):
    """Numba's cache of one function, except that no state of the folder is an error."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for a signature, or None.

        Numba first declares every function that it can compile (`target_context.refresh`), which takes most
        of the time. Compiled code does without: all that it calls by name are C functions, which are known
        from the import of Numba on, and those of the runtime. That was tried with `WITHOUT_REFRESH` only.
        """
        if numba.__version__.startswith(WITHOUT_REFRESH):
            rtsys.initialize(target_context)
        else:
            target_context.refresh()
        try:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)
        except Exception as error:  # a damaged file can fail in any way where it is unpickled
            reason = f"{type(error).__name__} in {Path(self._cache_file._index_path).name}"
            cache.unusable(Path(self.cache_path), reason)
            with contextlib.suppress(OSError):
                self.flush()
        return None

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # the folder is read-only, or the disk is full
            cache.unusable(Path(self.cache_path), error.strerror or str(error))

    def holds(self, scalar: str, goal: bool) -> bool:
        """Whether there is code for this machine, this precision, and with or without another goal than τ."""
        machine = cpu_target.target_context.codegen().magic_tuple()
        try:
            index = self._cache_file._load_index()
        except Exception:  # a damaged index, see `load_overload`
            return False
        return any(
            key[1] == machine and _is_for(key[0], scalar) and _has_goal(key[0]) == goal for key in index
        )


def _is_for(signature: Any, scalar: str) -> bool:
    """Whether `scalar` is the type of planes (arrays of three axes or more) among the arguments."""
    return any(
        _is_for(kind, scalar)
        if isinstance(kind, types.BaseTuple)
        else getattr(kind, "ndim", 0) >= 3 and str(kind.dtype) == scalar
        for kind in signature
    )


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
            dispatcher._cache = _KernelCache(function)
        kernel: Kernel = dispatcher
        return kernel

    return decorate


def _has_goal(signature: Any) -> bool:
    """Whether the arguments hold another goal than τ, for which kernels are compiled separately."""
    return any(
        isinstance(kind, types.BaseTuple)
        and (getattr(kind, "instance_class", type(None)).__name__ == GOAL or _has_goal(kind))
        for kind in signature
    )


def is_compiled(kernel: Any, scalar: str = "float32", *, goal: bool = False) -> bool:
    """Whether a kernel need not be compiled in this process: its code is in memory or in the cache folder.

    Args:
        kernel: a kernel, for example `kernels.fast_design.designs`.
        scalar: the precision asked for, "float32" or "float64".
        goal: for another sensing goal than τ.
    """
    if any(_is_for(each, scalar) and _has_goal(each) == goal for each in kernel.signatures):
        return True
    kept = kernel._cache
    return isinstance(kept, _KernelCache) and kept.holds(scalar, goal)


def direct(kernel: Any, *arguments: Any) -> Any:
    """A kernel that was called with such arguments, without the look at their types with which calls begin.

    That look takes 2 to 5 µs, as long as a comparison with the start (26). The result may be called with
    arguments of exactly these types and dimensions alone: it would read any others as if they were.
    """
    try:
        return kernel.overloads[tuple(kernel.typeof_pyval(value) for value in arguments)].entry_point
    except (AttributeError, KeyError):  # no compiled code, or a Numba that keeps it elsewhere
        return kernel
