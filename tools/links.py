"""Follow every link of a built site: its pages, anchors, pictures, scripts and styles, and nothing elsewhere.

    python tools/links.py build/docs/html

A page may name another host in a link that a reader follows; it may load nothing from there.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
NOT_LOADED = {"canonical", "index", "search", "next", "prev", "author", "copyright", "top", "up"}


class Page(HTMLParser):
    """The anchors of a page, and where its links lead: (address, whether it is loaded with the page)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        held = {name: value or "" for name, value in attrs}
        self.anchors |= {held[name] for name in ("id", "name") if name in held}
        for name in ("href", "src"):
            if name in held:
                loaded = (tag, name) in LOADED and held.get("rel", "") not in NOT_LOADED
                self.links.append((held[name], loaded))


def faults(folder: Path) -> list[str]:
    """What is wrong with the links of all pages, one line each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link, loaded in page.links:
            parts = urlsplit(link)
            if parts.scheme == "data" or (not loaded and (parts.scheme or parts.netloc)):
                continue
            if parts.scheme or parts.netloc:
                found.append(f"{path.relative_to(folder)}: loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{path.relative_to(folder)}: no {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{path.relative_to(folder)}: no place {link}")
    return found


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    found = faults(folder)
    print("\n".join(found))
    links = sum(len(Page(path.read_text(encoding="utf-8")).links) for path in folder.rglob("*.html"))
    print(f"{links} links, {len(found)} lead nowhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
