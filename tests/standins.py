"""Stand-ins on the loopback address for what the scorer downloads from: the Hugging Face hub, and
GitHub for heads.

Run as a program it is one of our scripts, told to go there: `standins.py SCRIPT ARGUMENT ...` with
STANDIN and, for small models in the place of the large ones, STANDIN_MODELS in its environment.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Standin(ThreadingHTTPServer):
    """Serves files by path and counts the bytes that it sent of each; can break off in the middle
    of one.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Path] = {}
        self.sent: dict[str, list[int]] = {}  # by path: the bytes of each answer
        self.breaks: set[str] = (
            set()
        )  # paths whose next answer stops half way, the last thing that it says
        self.is_down = False
        self.address = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def hub(self, repository: str, file: Path) -> None:
        self.files[f"/{repository}/resolve/main/{file.name}"] = file

    def handle_error(self, request, client_address) -> None:
        """Connections that break are what this is for."""


class _Handler(BaseHTTPRequestHandler):
    server: Standin

    def do_HEAD(self) -> None:
        self._answer(with_content=False)

    def do_GET(self) -> None:
        self._answer(with_content=True)

    def _answer(self, with_content: bool) -> None:
        if self.server.is_down:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        file = self.server.files.get(self.path)
        if file is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size = file.stat().st_size
        begin = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("ETag", f'"{hashlib.sha256(self.path.encode()).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(size - begin))
        self.send_header("Accept-Ranges", "bytes")
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        self.end_headers()
        if with_content:
            self._send(file, begin, size)

    def _send(self, file: Path, begin: int, size: int) -> None:
        breaks = self.path in self.server.breaks
        end = size // 2 if breaks else size
        with open(file, "rb") as content:
            content.seek(begin)
            while (at := content.tell()) < end:
                self.wfile.write(content.read(min(1 << 20, end - at)))
        self.server.sent.setdefault(self.path, []).append(end - begin)
        if breaks:
            self.server.breaks.discard(self.path)
            self.server.is_down = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def run(
    home: Path,
    standin: Standin,
    digests: dict[str, str],
    models: dict,
    *args: object,
    seconds: int = 120,
):
    """Run a script that knows no network but the stand-in, and no cache but the one below
    `home`.
    """
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "HF_HOME": str(home / "huggingface"),
        "HF_ENDPOINT": standin.address,
        "STANDIN": json.dumps({"address": standin.address, "digests": digests, "models": models}),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    for name in ("TORCH_HOME", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
        environment.pop(name, None)
    command = [sys.executable, __file__, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds)


def main() -> None:
    told = json.loads(os.environ["STANDIN"])
    script = sys.argv.pop(1)
    sys.path.insert(0, str(ROOT))
    import open_clip
    import towers

    from common.clip import scorers

    towers.siglip()  # timm knows it by name from here on
    open_clip.factory._MODEL_CONFIGS.update(told["models"])
    scorers.SCORERS = tuple(
        dataclasses.replace(
            row,
            page=row.page.replace("https://github.com", told["address"]),
            digest=told["digests"].get(row.file, row.digest),
        )
        for row in scorers.SCORERS
    )
    runpy.run_path(str(ROOT / script), run_name="__main__")


if __name__ == "__main__":
    main()
