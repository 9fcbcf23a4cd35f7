"""The server of the live page, for this machine alone: the standard library's, on 127.0.0.1.

Another web page in the same browser, another user of the machine and another name for its address (DNS
rebinding) are kept out: a request must name this server as its host, a question must come from its page, and
both must bring the key of this run, which only the printed address has. A client names no file. An answer
leaves in one write with Nagle's algorithm off: 6 ms an update in the place of 52.
"""

from __future__ import annotations

import http.client
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from beamfold.errors import InputError

LARGEST = 1 << 16
"""Bytes of a question."""
PORTS = 50
"""Ports that are tried after the one that is asked for."""
IDLE = 60.0
"""Seconds after which an idle connection is closed."""
PAGES = 64
"""Pages of which the newest question is remembered."""
KEY = "X-Beamfold-Key"
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Answer = dict[str, Any]


class Latest:
    """One question at a time, and of each page's questions of a kind only the newest."""

    def __init__(self) -> None:
        self._turn, self._guard = threading.Lock(), threading.Lock()
        self._newest: dict[tuple[str, str], int] = {}

    def run(self, page: str, kind: str, number: int, work: Callable[[], Answer]) -> Answer:
        """What `work` returns, or {"overtaken": True} where a newer question came while this one waited."""
        key = (page, kind)
        with self._guard:
            self._newest[key] = max(number, self._newest.pop(key, number))
            while len(self._newest) > PAGES:
                del self._newest[next(iter(self._newest))]
        with self._turn:
            if number < self._newest.get(key, number):
                return {"overtaken": True}
            return work()


class Refused(Exception):
    """A request that is not answered: its status, and why in a few words."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(ThreadingHTTPServer):
    """The page and its questions.

    Args:
        port: the first port that is tried; 0 for any.
        page: (key, nonce) → the page.
        questions: the path of each question, and (page's name, number, what is asked) → answer.
        key: of this run; a new random one unless given.

    Raises:
        InputError: no port is free.
    """

    daemon_threads = True

    def __init__(
        self,
        port: int,
        page: Callable[[str, str], str],
        questions: dict[str, Callable[[str, int, Any], Answer]],
        key: str = "",
    ) -> None:
        self.page, self.questions = page, questions
        self.key = key or secrets.token_urlsafe(24)
        last: OSError | None = None
        for tried in range(port, min(port + PORTS, 1 << 16)) if port else (0,):
            try:
                super().__init__(("127.0.0.1", tried), Handler)
            except OSError as error:
                last = error
                continue
            self.hosts = {f"{name}:{self.server_address[1]}" for name in ("127.0.0.1", "localhost")}
            return
        raise InputError(f"no port from {port} on is free: {last}; choose another with --port")

    @property
    def address(self) -> str:
        """What to open."""
        return f"http://127.0.0.1:{self.server_address[1]}/?key={self.key}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no error of the program."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE

    def do_GET(self) -> None:
        """The page, for who has the address with the key."""
        try:
            self._check_host()
            place = urlsplit(self.path)
            if place.path != "/":
                raise Refused(404, "there is nothing here")
            self._check_key(parse_qs(place.query).get("key", [""])[0])
        except Refused as refusal:
            self._refuse(refusal)
            return
        nonce = secrets.token_urlsafe(16)
        text = self.server.page(self.server.key, nonce)
        self._send(200, "text/html; charset=utf-8", text, policy=POLICY.format(nonce=nonce))

    def do_POST(self) -> None:
        """A question of the page."""
        try:
            status, answer = self._asked()
        except Refused as refusal:
            self._refuse(refusal)
            return
        self._send(status, "application/json", json.dumps(answer, allow_nan=False))

    def _asked(self) -> tuple[int, Answer]:
        self._check_host()
        if self.headers.get("Origin") not in {f"http://{host}" for host in self.server.hosts}:
            raise Refused(403, "this question does not come from the explorer's page")
        self._check_key(self.headers.get(KEY, ""))
        question = self.server.questions.get(self.path)
        if question is None:
            raise Refused(404, "there is no such question")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or "Transfer-Encoding" in self.headers:
            raise Refused(411, "a question states its length")
        if int(length[:12]) > LARGEST:
            raise Refused(413, f"a question has at most {LARGEST} bytes")
        try:
            asked = json.loads(self.rfile.read(int(length)))
            page, number, what = str(asked["page"])[:40], int(asked["number"]), asked.get("state")
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            raise Refused(400, "a question is an object with page, number and state") from error
        try:
            return 200, {"number": number, **question(page, number, what)}
        except InputError as error:
            return 422, {"number": number, "error": str(error)}
        except Exception as error:
            return 500, {"number": number, "error": f"failed: {type(error).__name__}: {error}"}

    def _check_host(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(403, "this server answers to its own address only")

    def _check_key(self, given: str) -> None:
        if not secrets.compare_digest(given.encode(), self.server.key.encode()):
            raise Refused(
                403, "open the address that `beamfold explore` has printed: it holds the key of this run"
            )

    def _refuse(self, refusal: Refused) -> None:
        self.close_connection = True  # what remains of the request is not read
        self._send(refusal.status, "text/plain; charset=utf-8", f"{refusal}\n")

    def _send(self, status: int, kind: str, text: str, policy: str = "default-src 'none'") -> None:
        """Headers and body in one write."""
        body = text.encode()
        lines = [
            f"HTTP/1.1 {status} {http.client.responses[status]}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            f"Content-Security-Policy: {policy}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
            "Cross-Origin-Resource-Policy: same-origin",
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
        ]
        try:
            self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not printed."""
