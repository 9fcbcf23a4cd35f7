"""What is in an HDF5 file: MATLAB's v7.3, Octave's, netCDF-4, h5py's; names as in `matlab_values.py`.

MATLAB, Octave and other writers that keep columns together store an array with its axes reversed. That they
are the writer is told by the file's first bytes or by attributes of theirs; for these files the axes are
turned back, and for no others.

Run in the child process of `matlab.py`, so this module imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or __package__:
    from beamfold.files import matlab_values as values
else:  # in the child process
    import matlab_values as values


def read_hdf5(
    path: str,
    size: int,
    limit: values.Limit,
    turned: bool,
    large: int | None = None,
    part: Sequence[Any] | None = None,
) -> values.Values:
    """The arrays of a file.

    Args:
        path: the file.
        size: its bytes.
        limit: sets limits on this process, or does nothing.
        turned: the whole file is MATLAB's, so that all axes are reversed.
        large: of a dataset of more bytes only "kind;shape" is read, under its name with "&" in front.
        part: the name of the only dataset to read, an axis, and the first and last position there.
    """
    import h5py

    with h5py.File(path, "r") as file:
        reader = _Reader(file, size, limit, turned)
        reader.large, reader.part = large, part
        return values.few(reader.group(file, "", 0))


class _Reader:
    """One pass over a file, with what its arrays have asked for so far."""

    def __init__(self, file: Any, size: int, limit: values.Limit, turned: bool) -> None:
        self.file, self.size, self.limit, self.turned = file, size, limit, turned
        self.total = 0
        self.seen: set[int] = set()
        self.large: int | None = None
        self.part: Sequence[Any] | None = None

    def group(self, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        """Everything in a group; links to other places and groups that were seen are left out."""
        import h5py

        address = h5py.h5o.get_info(group.id).addr
        if address in self.seen or depth > values.DEPTH:
            return
        self.seen.add(address)
        for name in group:
            if name.startswith("#") or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue  # other links lead to other files
            yield from self.item(group[name], prefix + name, depth + 1)

    def item(self, item: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
        """The arrays of a dataset or of a group."""
        import h5py

        kind = _text(item.attrs.get("MATLAB_class"))
        if "MATLAB_object_decode" in item.attrs or (kind and kind not in (*values.WIDTH, "cell", "struct")):
            what = f"a {kind} of MATLAB, which only MATLAB opens" if kind else values.OBJECT
            yield f"?{name}", np.array(what)
        elif isinstance(item, h5py.Group):
            if "OCTAVE_NEW_FORMAT" in item.attrs and "value" in item:
                before, self.turned = self.turned, True
                yield from self.item(item["value"], name, depth)
                self.turned = before
            elif "MATLAB_sparse" in item.attrs and {"data", "ir", "jc"} <= set(item):
                yield name, self._sparse(item)
            else:
                yield from self.group(item, f"{name}.", depth)
        elif isinstance(item, h5py.Dataset) and item.size is not None:
            yield from self._dataset(item, name, kind, depth)

    def _dataset(self, item: Any, name: str, kind: str, depth: int) -> Iterator[tuple[str, Any]]:
        import h5py

        if "MATLAB_empty" in item.attrs:
            return
        turned = self.turned or bool(kind)
        if self.part is not None and name != self.part[0]:
            return
        if self.large is not None and item.nbytes > self.large and item.dtype.kind in "biufcV":
            known = values.joined(np.zeros(0, item.dtype)).dtype
            shape = item.shape[::-1] if turned else item.shape
            yield f"&{name}", np.array(f"{known.name};{','.join(map(str, shape))}")
            yield from _axes_of(item, name, turned)
            return
        value = self._load(item, name, turned)
        if h5py.check_ref_dtype(item.dtype) is not None:
            yield from self._referred(value.T if turned else value, name, depth)
            return
        if kind == "char" and value.dtype == np.uint16:
            yield name, np.array(value.tobytes().decode("utf-16", errors="replace"))
            return
        if value.dtype.kind in "SO":
            if value.size == 1:
                yield name, np.array(_text(value.reshape(-1)[0]))
            return
        value = values.joined(value)
        yield name, value.T if turned else value
        yield from _axes_of(item, name, turned)

    def _referred(self, references: np.ndarray, name: str, depth: int) -> Iterator[tuple[str, Any]]:
        """The elements of a cell array, or of a field of a structure array."""
        found: list[list[tuple[str, Any]]] = []
        for index, reference in enumerate(references.ravel(order="F")):
            place = f"{name}{{{index + 1}}}" if references.size > 1 else name
            found.append(list(self.item(self.file[reference], place, depth + 1)) if reference else [])
            if depth > values.DEPTH:
                return
        alone = [parts[0][1] if len(parts) == 1 else None for parts in found]
        one = values.stacked(alone, references.shape) if len(alone) > 1 else None
        if one is not None:
            yield name, one
            return
        for parts in found:
            yield from parts

    def _load(self, item: Any, name: str, turned: bool = False) -> np.ndarray:
        """The values of a dataset, or the part asked for, after a check of what it declares."""
        if item.external or item.is_virtual:
            raise ValueError(f"{name} keeps its data in another file")
        if self.part is not None and name == self.part[0]:
            return self._load_part(item, name, turned, *self.part[1:])
        stored = min(item.id.get_storage_size(), self.size)
        values.check(name, item.nbytes, values.DEFLATE * max(stored, 1))
        self.total += item.nbytes
        values.check("the file", self.total, values.DEFLATE * self.size)
        self.limit(self.total, self.size)
        return np.asarray(item[()])

    def _load_part(self, item: Any, name: str, turned: bool, axis: int, first: int, last: int) -> np.ndarray:
        """Positions first to last − 1 on an axis, counted as MATLAB does where the axes are turned."""
        where = [slice(None)] * len(item.shape)
        where[len(where) - 1 - axis if turned else axis] = slice(first, last)
        asked = item.nbytes // max(item.shape[len(where) - 1 - axis if turned else axis], 1) * (last - first)
        values.check(name, asked, values.DEFLATE * max(min(item.id.get_storage_size(), self.size), 1))
        self.limit(asked + CHUNKS, min(self.size, asked + CHUNKS))
        return np.asarray(item[tuple(where)])

    def _sparse(self, item: Any) -> np.ndarray:
        """A sparse matrix of MATLAB in full: rows of column c are ir[jc[c]:jc[c + 1]]."""
        parts = {key: self._load(item[key], key).ravel() for key in ("data", "ir", "jc")}
        data, rows, ends = values.joined(parts["data"]), parts["ir"].astype(int), parts["jc"].astype(int)
        shape = int(item.attrs["MATLAB_sparse"]), len(ends) - 1
        self.total += 16 * shape[0] * shape[1]
        values.check("a sparse matrix", self.total, values.DEFLATE * self.size)
        self.limit(self.total, self.size)
        full = np.zeros(shape, data.dtype)
        full[rows, np.repeat(np.arange(shape[1]), np.diff(ends))] = data
        return full


CHUNKS = 256 << 20
"""Bytes that HDF5 may unpack in order to read a part of a compressed dataset."""


def _axes_of(item: Any, name: str, turned: bool) -> Iterator[tuple[str, Any]]:
    """The names of the axes of a dataset, where the file states them all."""
    labels = _labels(item)
    if labels and all(labels):
        yield f"@{name}", np.array(",".join(reversed(labels) if turned else labels))


def _text(value: Any) -> str:
    """A text of an attribute or a dataset, "" for none."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else ""


def _labels(item: Any) -> list[str]:
    """The names of the axes: the labels of the dataset, or the dimension scales that it hangs on.

    HDF5 can loop on a damaged text of variable length; the limit on processor time ends that.
    """
    try:
        labels = item.attrs.get("DIMENSION_LABELS")
        if labels is not None:
            return [_text(label) for label in labels]
        scales = item.attrs.get("DIMENSION_LIST")
        found = [] if scales is None else [item.file[scale[0]].name for scale in scales]
        return [str(name).rsplit("/", 1)[-1] for name in found]
    except Exception:  # whatever a damaged attribute makes HDF5 raise
        return []
