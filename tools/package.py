"""The wheel and the source archive, into dist/, with a description that holds on a package page.

    python tools/package.py [https://host/owner/beamfold]

A package page has README.md and no files beside it. With the address of the repository its links and pictures
lead there, to the tag of the version, and the address is in the metadata; without it a picture is replaced by
what it shows, in words, and a link by its text. README.md itself goes into the archive as it is.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (".git", ".venv", ".*_cache", "__pycache__", "*.egg-info", "build", "dist", "demo")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)")


def described(text: str, place: str | None) -> str:
    """README.md for a page without files; `place` is the repository's address with the version's tag."""

    def link(found: re.Match[str]) -> str:
        picture, words, path = found.groups()
        if place is not None:
            return f"{picture}[{words}]({place.format('raw' if picture else 'blob')}/{path})"
        return f"*Picture in the repository: {words}.*" if picture else words

    return LINK.sub(link, text)


def stage(folder: Path, url: str | None) -> None:
    """A copy of the sources with the description and, where it is known, the repository's address."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))  # MANIFEST.in leaves out more
    settings = folder / "pyproject.toml"
    about = settings.read_text(encoding="utf-8")
    version = tomllib.loads(about)["project"]["version"]
    place = None if url is None else f"{url.rstrip('/')}/{{}}/v{version}"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "DESCRIPTION.md").write_text(described(readme, place), encoding="utf-8")
    about = about.replace('readme = "README.md"', 'readme = "DESCRIPTION.md"')
    if url is not None:
        about = about.replace(
            "[project.scripts]", f'[project.urls]\nRepository = "{url}"\n\n[project.scripts]'
        )
    settings.write_text(about, encoding="utf-8")


def main() -> None:
    folder, dist = ROOT / "build" / "package", ROOT / "dist"
    stage(folder, sys.argv[1] if len(sys.argv) > 1 else None)
    shutil.rmtree(dist, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, folder], check=True)
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir())], check=True)


if __name__ == "__main__":
    main()
