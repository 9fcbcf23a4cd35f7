"""The licences of everything that an ordinary installation brings along, and none of them copyleft.

    python benchmarks/licences.py [--json]

Walks the dependencies of pyproject.toml without the extras, as installed here, and prints every package
with version and licence: the metadata's expression, else its classifiers, else its first line of text. How
a licence is judged stands in `JUDGED`; an expression with OR passes if one side does, with AND if both do.
Exit code 1 if a licence is copyleft, or is not known here: somebody has to read it first.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
JUDGED = {
    r"AGPL|Affero": "copyleft, over a network too",
    r"LGPL|Lesser General Public": "copyleft, of the library itself: refused all the same",
    r"\bGPL|GNU General Public": "copyleft",
    r"MPL|Mozilla Public": "copyleft, file by file: refused all the same",
    r"EUPL|CDDL|EPL|Eclipse Public|OSL": "copyleft, weak: refused all the same",
    r"MIT|BSD|Apache|ISC|Zlib|PSF|Python Software Foundation|HPND|Unlicense|CC0|BSL-1": "permissive",
    r"NVIDIA|CUDA": "proprietary, no copyleft; only with torch's CUDA build",
}
"""Pattern → judgement; the first that fits holds."""
NVIDIA = re.compile(r"(nvidia|cuda)-")
"""Names of the packages of torch's CUDA build, of which some state no licence or "Proprietary" alone."""
RUNTIME = re.compile(r"lib(gfortran|quadmath|gomp|gcc_s|stdc\+\+)\b[^/]*$")
"""GCC's run-time libraries, which wheels of compiled packages carry as shared libraries of their own."""


def judge(licence: str) -> str:
    """The judgement on an expression; of alternatives the best, of parts the worst."""
    alternatives = re.split(r"\s+OR\s+", licence)
    if len(alternatives) > 1:
        return min((judge(part) for part in alternatives), key=_badness)
    parts = re.split(r"\s+AND\s+|;|,(?=\s)", licence)
    if len(parts) > 1:
        return max((judge(part) for part in parts if part.strip()), key=_badness)
    found = (meaning for pattern, meaning in JUDGED.items() if re.search(pattern, licence))
    return next(found, "unknown")


def judge_package(name: str, licence: str) -> str:
    """The judgement on a package; of NVIDIA's that on NVIDIA's licence where their own words say nothing."""
    judged = judge(licence)
    return judge("NVIDIA") if judged == "unknown" and NVIDIA.match(name) else judged


def _badness(judgement: str) -> int:
    return 2 if judgement.startswith("copyleft") else int(judgement == "unknown")


def licence_of(package: Distribution) -> str:
    """What the package says of its licence."""
    about = package.metadata
    if expression := about.get("License-Expression"):
        return expression
    held = [c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    held = [name for name in held if name != "OSI Approved"]
    text = (about.get("License") or "").strip()
    return "; ".join(held) or (text.splitlines() or ["not stated"])[0]


def installed(requirements: list[str]) -> dict[str, Distribution]:
    """What these requirements bring along here, without extras that nobody asked for."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(line) for line in requirements]
    while waiting:
        wanted = waiting.pop()
        key = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if key in found and not wanted.extras:
            continue
        found[key] = distribution(wanted.name)
        for line in found[key].requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in ("", *wanted.extras)
            ):
                waiting.append(needed)
    return dict(sorted(found.items()))


def carried(packages: dict[str, Distribution]) -> dict[str, list[str]]:
    """Packages whose wheels carry GCC's run-time libraries, and which.

    They are GPL-3.0 with the run-time exception, libquadmath LGPL-2.1, beside a package with its own licence.
    """
    found = {
        name: sorted(
            {f"lib{match[1]}" for file in package.files or [] if (match := RUNTIME.search(str(file)))}
        )
        for name, package in packages.items()
    }
    return {name: files for name, files in found.items() if files}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = installed(project["dependencies"])
    for name, package in packages.items():
        licence = licence_of(package)
        rows.append(
            {
                "name": name,
                "version": package.version,
                "licence": licence,
                "judged": judge_package(name, licence),
            }
        )
    bad = [row for row in rows if _badness(row["judged"])]
    if options.json:
        held = {"packages": rows, "refused": [row["name"] for row in bad], "gcc_runtime": carried(packages)}
        print(json.dumps(held, indent=2))
        return int(bool(bad))
    for row in rows:
        print(f"{row['name']:22} {row['version']:14} {row['licence'][:60]:60} {row['judged']}")
    print(f"{len(rows)} packages, {len(bad)} copyleft or unknown")
    for name, files in carried(packages).items():
        print(f"GCC's run-time library inside the wheel of {name}: {', '.join(files)}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
