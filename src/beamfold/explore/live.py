"""The live explorer: the questions of the page, and the state while code is compiled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beamfold.explore.controls import start_of
from beamfold.explore.designs import Designs
from beamfold.explore.page import facts_of, page_of
from beamfold.explore.recipe import recipe, record
from beamfold.explore.server import Answer, Latest, Server
from beamfold.explore.state import State, state_of
from beamfold.files.designs import write_design

MOST = 10_000
"""Designs that one folder takes from the page."""


class Live:
    """What the server answers.

    Args:
        held: the designs of the file.
        folder: where designs are saved.
        compiling: seconds that compiling takes on this machine, 0 where nothing is to be compiled.
    """

    def __init__(self, held: Designs, folder: Path, compiling: float = 0.0) -> None:
        self.held, self.folder, self.compiling = held, folder, compiling
        self.start = start_of(held.spec, held.columns)
        self._facts = facts_of(held, self.start)  # solves for Ψ, and refuses what makes no scenario
        self._latest, self._ready, self._begun = Latest(), threading.Event(), time.monotonic()
        self.warming: threading.Thread | None = None
        self._failed = ""

    def warm(self) -> None:
        """The first design, for which code is compiled or loaded; questions are put off until it is there."""
        try:
            self.held.answer(self.start)
            self.held.front(self.start)
        except Exception as error:  # the page says it: the scenario may be one that another control mends
            self._failed = str(error)
        self._ready.set()

    def page(self, key: str, nonce: str) -> str:
        """The page for a browser that has the key."""
        return page_of({**self._facts, "live": True, "key": key}, nonce=nonce)

    def questions(self) -> dict[str, Callable[[str, int, Any], Answer]]:
        """The answers by their path."""
        return {
            "/ready": lambda page, number, state: self._warming(),
            "/design": self._answering("design", self.held.answer),
            "/front": self._answering("front", self.held.front),
            "/recipe": self._answering("recipe", lambda state: recipe(self.held, state)),
            "/save": self._answering("save", self._save),
        }

    def _answering(self, kind: str, work: Callable[[State], Answer]) -> Callable[[str, int, Any], Answer]:
        def answer(page: str, number: int, raw: Any) -> Answer:
            state = state_of(raw, self.held.channels.count)
            if not self._ready.is_set():
                return self._warming()
            return self._latest.run(page, kind, number, lambda: work(state))

        return answer

    def _warming(self) -> Answer:
        if self._ready.is_set():
            return {"ready": True}
        return {"ready": False, "since": time.monotonic() - self._begun, "compiling": self.compiling}

    def _save(self, state: State) -> Answer:
        """The design as a file beside the user, under a name that is free."""
        found = self.held.design(state)
        stem = Path(self.held.spec.channels or "channels").stem
        for number in range(1, MOST):
            path = self.folder / f"{stem}-explored-{number}.mat"
            if not path.exists():
                write_design(path, found, record(self.held, state, self.folder))
                return {"saved": path.name, "folder": str(self.folder)}
        raise FileExistsError(f"{self.folder} holds {MOST} designs of the explorer")


def serve(live: Live, port: int) -> Server:
    """The server of a live page, which the caller runs; the first design begins at once, in a thread."""
    server = Server(port, live.page, live.questions())
    live.warming = threading.Thread(target=live.warm, daemon=True)
    live.warming.start()
    return server
