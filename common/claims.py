"""Who works on a topic: two runs at once share the work instead of doing it twice. Results are right without any claim.

A claim is a lock on `.cache/NAME.claim`, in which its holder says who it is; the kernel lets go of it when the holder
dies. Whoever finds a topic claimed goes on with others and comes back. Nobody waits while holding a claim, so never in
a circle.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from common import cache, locks, terminal
from common.reporter import Reporter
from common.tree import Topic

POLL_SECONDS = 0.1  # seconds between two looks at a topic that is waited for
MAX_HELD_CLAIMS = 200  # held at once, each an open file of the 1,024 that a process may have; beyond them topics go unclaimed

TryClaim = Callable[[Topic], bool]  # says whether to work on a topic now


def always_claim(_topic: Topic) -> bool:
    """Work on it, whoever else does."""
    return True


class Claims:
    """The topics that this run works on, among all runs that work for the same `name`: that of a sidecar."""

    def __init__(self, name: str, talk: Reporter) -> None:
        self._name, self._talk = name, talk
        self._held: dict[Topic, int] = {}  # the open file of each
        self._busy: list[Topic] = []  # found claimed in this round
        self._told: set[str] = set()

    def rounds(self, topics: Sequence[Topic]) -> Iterator[Sequence[Topic]]:
        """All topics, then again those that `take` refused, once the first of them is free, until it refused none."""
        while topics:
            try:
                yield topics
            finally:
                for topic in list(self._held):
                    self.let_go(topic)
            topics, self._busy = self._busy, []
            while topics and not self._is_held(topics[0]):
                self._tell(topics[0])
                time.sleep(POLL_SECONDS)

    def take(self, topic: Topic) -> bool:
        """Whether to work on the topic now: to be asked where it owes work, and what it owes to be read anew then.

        Where no claim can be had, for want of locks or permissions, the answer is yes.
        """
        if self._is_held(topic):
            return True
        self._busy.append(topic)
        return False

    def let_go(self, topic: Topic) -> None:
        file = self._held.pop(topic, None)
        if file is not None:
            locks.unlock(self._path(topic), file)
            with contextlib.suppress(
                OSError
            ):  # it was made for the claim alone only if it is empty
                os.rmdir(cache.cache_folder(topic))

    def _is_held(self, topic: Topic) -> bool:
        if topic in self._held or len(self._held) >= MAX_HELD_CLAIMS:
            return True
        try:
            file = locks.try_lock(self._path(topic))
            if file is None:
                return False
            self._held[topic] = file
            os.truncate(file, 0)
            who = f"{shlex.join(sys.argv)} (process {os.getpid()} on {socket.gethostname()})"
            os.write(file, os.fsencode(who))
        except OSError:
            pass  # no locks, no permission, no room: nobody can tell, and both may work
        return True

    def _tell(self, topic: Topic) -> None:
        """Say for whom the topic is waited for, once of each."""
        who = "another run"
        with (
            contextlib.suppress(OSError),
            open(self._path(topic), errors="surrogateescape") as file,
        ):
            who = file.read() or who
        if who not in self._told:
            self._told.add(who)
            self._talk.say(f"⏳ {terminal.escape(topic.label)}: waiting for {terminal.escape(who)}")

    def _path(self, topic: Topic) -> str:
        return os.path.join(cache.cache_folder(topic), f"{self._name}.claim")
