"""Pin every package that `make demo` and `make test` install: version, and the hashes of its wheels.

    make lock                      versions stay where they can
    make lock UPGRADE=--upgrade    the newest that pyproject.toml allows

uv resolves pyproject.toml, with what it builds with and the extra `dev`, for all platforms at once. Wheels
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK, CPU, CUDA = (ROOT / f"constraints{name}.txt" for name in ("", "-cpu", "-cuda"))
OF_CUDA = re.compile(r"torch$|nvidia-|cuda-|triton")
WHEEL = re.compile(
    r"-(?P<python>py3|py2\.py3|cp3\d+)[^-]*-(?P<abi>none|abi3|cp31[1-4])-"
    r"(any|(manylinux.*_(x86_64|aarch64))|macosx.*|win_amd64)\.whl$"
)
TORCH = "torch==2.13.0"  # the release that was tested; a wider range comes from pyproject.toml
CPU_BUILD = """# torch without CUDA for CPython 3.11 on 64-bit Linux, which the public index does not carry.
torch==2.13.0+cpu \\
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
"""
HEAD = """# Every package but torch that `make demo` and `make test` install, hashed. Written by `make lock`.
# The versions alone: grep '^[a-z]' constraints.txt
"""
HEAD_CUDA = """# torch of the public index, and what its Linux build with CUDA needs. Written by `make lock`.
"""


def wanted() -> str:
    """The requirements: the project's, its build's and `dev`'s."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = about["project"]
    extra = project["optional-dependencies"]["dev"]
    return "\n".join([*project["dependencies"], *about["build-system"]["requires"], *extra, TORCH]) + "\n"


def held() -> str:
    """The versions of the present lock, to be kept."""
    found = []
    for file in (LOCK, CUDA):
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        found += re.findall(r"^[\w.-]+==[^\s;\\]+", text, re.MULTILINE)
    return "\n".join(found) + "\n"


def resolve(upgrade: bool) -> list[dict[str, Any]]:
    """The packages, as uv's lock file has them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "wanted.in").write_text(wanted(), encoding="utf-8")
        (folder / "held.txt").write_text("" if upgrade else held(), encoding="utf-8")
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
    packages = resolve(parser.parse_args().upgrade)
    for file, head, cuda in ((LOCK, HEAD, False), (CUDA, HEAD_CUDA, True)):
        own = [paragraph(p) for p in packages if bool(OF_CUDA.match(p["name"])) is cuda]
        file.write_text(head + "\n".join(own) + "\n", encoding="utf-8")
        print(f"{file.name}: {len(own)} packages")
    CPU.write_text(CPU_BUILD, encoding="utf-8")


if __name__ == "__main__":
    main()
