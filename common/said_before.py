"""What the scripts of one pipeline have warned of, so that each warning is printed once."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter

from common import terminal

SAID_BEFORE = "CURATION_SAID_BEFORE"  # in the environment: the file


class SaidBefore:
    """The warnings of earlier scripts, as digests in a file; without it there are none."""

    def __init__(self) -> None:
        self._path = path = os.environ.get(SAID_BEFORE)
        self._digests = set[str]()
        self._counts = Counter[str]()  # of what was said before, by its noun
        with contextlib.suppress(OSError):
            if path:
                with open(path, encoding="ascii") as file:
                    self._digests.update(file.read().split())

    def holds(self, message: str, noun: str, path: str | os.PathLike[str] = "") -> bool:
        """Tell whether an earlier script said this; otherwise note it.

        With `path`, what the message says of that file, also under another name of it.
        """
        if not self._path:
            return False
        with contextlib.suppress(OSError):
            if path:
                status = os.stat(path)
                message = f"{noun} {status.st_dev} {status.st_ino}"
        digest = hashlib.blake2b(message.encode("utf-8", "surrogatepass"), digest_size=16)
        if digest.hexdigest() in self._digests:
            self._counts[noun] += 1
            return True
        with contextlib.suppress(OSError), open(self._path, "a", encoding="ascii") as file:
            file.write(digest.hexdigest() + "\n")
        return False

    def counts_in_words(self) -> str:
        return ", ".join(terminal.plural(count, noun) for noun, count in self._counts.items())
