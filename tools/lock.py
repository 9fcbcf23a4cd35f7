"""Pin every package that `make` installs: version, and the hashes of its wheels.

    make lock                      versions stay where they can
    make lock UPGRADE=--upgrade    the newest that pyproject.toml allows

uv resolves pyproject.toml, with what it builds with and its extras, for all platforms at once. What only
`make docs` and `make package` need stands in a file of its own, and fits the versions of the others. Wheels
only, no source archive, whose installation would run its code; of the wheels those for CPython 3.11 to 3.14
on 64-bit Linux, macOS and Windows. torch is in two files of its own: its build without CUDA, taken wherever
pip finds it, and the public index's, which on Linux needs gigabytes of CUDA packages beside it. They can't
share a list: pip prefers a link that states its hash to a local wheel, whatever the version.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK, CPU, CUDA, DOCS = (ROOT / f"constraints{name}.txt" for name in ("", "-cpu", "-cuda", "-docs"))
EXTRAS = ("dev", "docs", "package")
OF_CUDA = re.compile(r"torch$|nvidia-|cuda-|triton")
WHEEL = re.compile(
    r"-(?P<python>py3|py2\.py3|cp3\d+)[^-]*-(?P<abi>none|abi3|cp31[1-4])-"
    r"(any|(manylinux.*_(x86_64|aarch64))|macosx.*|win_amd64)\.whl$"
)
TORCH = "torch==2.13.0"  # the release that was tested; a wider range comes from pyproject.toml
OF_ALL_PYTHONS = "soupsieve<3"  # a newer one needs 3.11.5, so that the lock would name two of them
CPU_BUILD = """# torch without CUDA for CPython 3.11 on 64-bit Linux, which the public index does not carry.
torch==2.13.0+cpu \\
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
"""
HEAD = """# Every package but torch that `make demo` and `make test` install, hashed. Written by `make lock`.
# The versions alone: grep '^[a-z]' constraints.txt
"""
HEAD_DOCS = """# What `make docs` and `make package` need beside constraints.txt. Written by `make lock`.
"""
HEAD_CUDA = """# torch of the public index, and what its Linux build with CUDA needs. Written by `make lock`.
"""


def wanted(extras: Iterable[str]) -> str:
    """The requirements: the project's, its build's and those of some extras."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = about["project"]
    more = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return "\n".join([*project["dependencies"], *about["build-system"]["requires"], *more, TORCH]) + "\n"


def held(*files: Path) -> str:
    """The versions of the present lock, to be kept."""
    found = []
    for file in files:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found += re.findall(r"^[\w.-]+==[^\s;\\]+", text, re.MULTILINE)
    return "\n".join(found) + "\n"


def resolve(extras: Iterable[str], versions: str) -> list[dict[str, Any]]:
    """The packages, as uv's lock file has them, in these versions where it needs them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wanted.in").write_text(wanted(extras), encoding="utf-8")
        (folder / "held.txt").write_text(versions, encoding="utf-8")
        subprocess.run(
            [Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--universal",
             "--python-version", "3.11", "--format", "pylock.toml", "--only-binary", ":all:",
             "--constraints", "held.txt", "-o", "pylock.toml", "wanted.in"],
            check=True, cwd=folder,
        )  # fmt: skip
        return tomllib.loads((folder / "pylock.toml").read_text(encoding="utf-8"))["packages"]


def paragraph(package: dict[str, Any]) -> str:
    """A requirement with its marker and its hashes, one a line."""
    pinned = f"{package['name']}=={package['version']}"
    hashes = {w["hashes"]["sha256"] for w in package["wheels"] if usable(w["url"].rsplit("/", 1)[-1])}
    if not hashes:
        raise SystemExit(f"{pinned} has no wheel that can be installed")
    marker = f" ; {package['marker']}" if "marker" in package else ""
    return " \\\n".join([pinned + marker, *(f"    --hash=sha256:{digest}" for digest in sorted(hashes))])


def usable(wheel: str) -> bool:
    """Whether a wheel is for a CPython and a platform that the lock serves."""
    match = WHEEL.search(wheel)
    if match is None:
        return False
    python = match["python"]
    version = int(python[3:]) if python.startswith("cp3") else 11
    return 11 <= version <= 14 or (version < 11 and match["abi"] == "abi3")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--upgrade", action="store_true")
    upgrade = parser.parse_args().upgrade
    tested = resolve(("dev",), "" if upgrade else held(LOCK, CUDA))
    versions = "".join(f"{p['name']}=={p['version']}\n" for p in tested)
    names = {p["name"] for p in tested}
    further = resolve(EXTRAS, f"{versions}{OF_ALL_PYTHONS}\n" + ("" if upgrade else held(DOCS)))
    parts = {
        LOCK: (HEAD, [p for p in tested if not OF_CUDA.match(p["name"])]),
        CUDA: (HEAD_CUDA, [p for p in tested if OF_CUDA.match(p["name"])]),
        DOCS: (HEAD_DOCS, [p for p in further if p["name"] not in names]),
    }
    for file, (head, packages) in parts.items():
        own = [paragraph(p) for p in packages]
        file.write_text(head + "\n".join(own) + "\n", encoding="utf-8")
        print(f"{file.name}: {len(own)} packages")
    CPU.write_text(CPU_BUILD, encoding="utf-8")


if __name__ == "__main__":
    main()
