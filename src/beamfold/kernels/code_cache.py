"""Compiled code of the kernels in the user's cache folder.

Numba keeps the compiled code of a function beside its source file, and compiles anew where that file
changed. But a kernel contains the code of the kernels that it calls, from other files, too. Here the folder's
name is a hash of all sources that compiled code can contain and of Numba's version: code of other sources is
never loaded, whatever the file times are, and the package's own folder is never written.

The setting NUMBA_CACHE_DIR of Numba stays in force: then the folder lies in that place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
from llvmlite import binding
from numba import types
from numba.core import config as _config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys

from beamfold import cache

GOAL = "Sensed"
"""The named tuple of `fast_workspace` by which kernels for another goal than τ are known."""
config: Any = _config  # its names are set when Numba is imported
SOURCES = ("beamfold.kernels", "beamfold.start")
"""Where the code and the constants of the kernels come from."""
KNOWN = "0.68."
"""The release of Numba of which it is known what of a kernel's code can be left until it is asked for."""


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

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """A kernel from what the file holds: its machine code, and its code for LLVM.

        The latter serves kernels that call this one, where they are compiled in this process. It is read
        then, for that takes half of the time in which a kernel is loaded.
        """
        (name, kind, data), function, *rest = payload
        if kind != "object" or not numba.__version__.startswith(KNOWN):
            return super().rebuild(target_context, payload)
        (machine_code, for_llvm), codegen = data, target_context.codegen()
        codegen._engine._defined_symbols |= {function.llvm_func_name, function.llvm_cpython_wrapper_name}
        found = super().rebuild(
            target_context, ((name, kind, (machine_code, _nothing(codegen))), function, *rest)
        )
        library = found.library

        def module() -> Any:
            """What `CPUCodeLibrary._unserialize` of Numba does at once."""
            del library._get_module_for_linking
            library._shared_module = binding.parse_bitcode(for_llvm)
            codegen._engine._load_defined_symbols(library._shared_module)
            return library._shared_module

        library._get_module_for_linking = module
        return found


@lru_cache(maxsize=1)
def _nothing(codegen: Any) -> bytes:
    """The bitcode of a module without functions."""
    empty: bytes = binding.parse_assembly(str(codegen._create_empty_module("nothing"))).as_bitcode()
    return empty


class KernelCache(FunctionCache):
    """Numba's cache of one function, except that no state of the folder is an error."""

    _impl_class = _Implementation

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled code for a signature, or None.

        Numba first declares every function that it can compile (`target_context.refresh`), which takes most
        of the time. Compiled code does without: all that it calls by name are C functions, which are known
        from the import of Numba on, and those of the runtime. That was tried with the releases `KNOWN` only.
        """
        if numba.__version__.startswith(KNOWN):
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
        return any(key[1] == machine and is_for(key[0], scalar) and has_goal(key[0]) == goal for key in index)


def is_for(signature: Any, scalar: str) -> bool:
    """Whether `scalar` is the type of planes (arrays of three axes or more) among the arguments."""
    return any(
        is_for(kind, scalar)
        if isinstance(kind, types.BaseTuple)
        else getattr(kind, "ndim", 0) >= 3 and str(kind.dtype) == scalar
        for kind in signature
    )


def has_goal(signature: Any) -> bool:
    """Whether the arguments hold another goal than τ, for which kernels are compiled separately."""
    return any(
        isinstance(kind, types.BaseTuple)
        and (getattr(kind, "instance_class", type(None)).__name__ == GOAL or has_goal(kind))
        for kind in signature
    )
