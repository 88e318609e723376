"""Keeps runs apart: file locks that are held for moments, and claims on topics.

A file lock is held while files are changed that depend on each other. A claim says which run works
on a topic, so that two runs at once share the work instead of doing it twice. Results are right
without any claim. A run that finds a topic claimed goes on with others and comes back. No run waits
while it holds a claim, so two never wait for each other.

The kernel releases a lock when its holder dies. Locks work over NFS, and decoding processes do not
inherit them. On a file system without locks, scripts run without them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from common import terminal
from common.links import adopt_cache_folder
from common.reporter import Reporter
from common.target_folder import TargetFolder
from common.topics import Topic

# Between two tries for a lock. Waiting in the kernel would not do: it takes two threads of two runs
# that wait for each other's locks for a deadlock.
LOCK_POLL_SECONDS = 0.005
CLAIM_POLL_SECONDS = 0.1  # between two looks at a topic that is waited for
# Each claim is one of the 1,024 files that a process may have open. Further topics go unclaimed.
MAX_HELD_CLAIMS = 200
HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}
# A folder may be entered, but not listed.
OPEN_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

TryClaim = Callable[[Topic], bool]  # tells whether to work on a topic now

_holders: dict[str, int] = {}  # path to the thread of this process that holds it or waits for it


def topic_lock(
    topic: Topic, target_folder: TargetFolder | None = None
) -> contextlib.AbstractContextManager[None]:
    """Hold the topic's files for the moment in which they are read, changed and written.

    In the `target_folder` of a merge no link is followed to the lock.
    """
    return file_lock(os.path.join(topic.cache_folder, "lock"), target_folder)


@contextlib.contextmanager
def file_lock(path: str, target_folder: TargetFolder | None = None) -> Iterator[None]:
    """Hold the lock file at `path` while the block runs. Its folder is made if it is missing.

    A thread that holds the lock may take it again.
    """
    thread = threading.get_ident()
    if _holders.get(path) == thread:
        yield
        return
    while _holders.setdefault(path, thread) != thread:
        time.sleep(LOCK_POLL_SECONDS)
    try:
        while (held := _hold_file(path, target_folder)) is None:
            time.sleep(LOCK_POLL_SECONDS)
        folder, file = held
        try:
            yield
        finally:
            _unlock_in(folder, os.path.basename(path), file)
            os.close(folder)
    finally:
        del _holders[path]


def try_lock(path: str) -> int | None:
    """Lock the file at `path` and return its descriptor, for `unlock`.

    Returns None while another process holds the lock, or is deleting the file. Raises OSError.
    """
    held = _hold_file(path, None)
    if held is None:
        return None
    folder, file = held
    os.close(folder)
    return file


def _hold_file(path: str, target_folder: TargetFolder | None) -> tuple[int, int] | None:
    """Lock a file as try_lock() does. Returns the descriptors of its folder and of the file."""
    file = None
    try:
        folder = _open_folder_of(path, target_folder)
        try:
            file = _try_lock_in(folder, os.path.basename(path))
        finally:
            if file is None:
                os.close(folder)
    except FileNotFoundError:
        return None
    return None if file is None else (folder, file)


def _try_lock_in(folder: int, name: str) -> int | None:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(file)
        if os.path.samestat(status, os.stat(name, dir_fd=folder, follow_symlinks=False)):
            if status.st_nlink == 1:
                return file
            # Its other name may be in somebody else's tree, which was copied by hard links.
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in HELD_BY_ANOTHER:
            return file
    os.close(file)
    return None


def unlock(path: str, file: int) -> None:
    """Delete the lock file, if it is still the one that is held, then release the lock."""
    try:
        folder = os.open(os.path.dirname(path), OPEN_FOLDER)
    except OSError:  # it was deleted meanwhile
        os.close(file)
    else:
        _unlock_in(folder, os.path.basename(path), file)
        os.close(folder)


def _unlock_in(folder: int, name: str, file: int) -> None:
    with contextlib.suppress(OSError):  # the file or its folder was deleted meanwhile
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if os.path.samestat(status, os.fstat(file)):
            os.unlink(name, dir_fd=folder)
    os.close(file)


def _open_folder_of(path: str, target_folder: TargetFolder | None) -> int:
    """Open the folder of a lock, made if it is missing. Raises OSError."""
    parent = os.path.dirname(path)
    if target_folder:
        with target_folder.open_folder(target_folder.place_of(parent), make=True) as folder:
            return os.dup(folder)
    adopt_cache_folder(parent)
    try:
        return os.open(parent, OPEN_FOLDER)
    except FileNotFoundError:
        os.makedirs(parent, exist_ok=True)
        return os.open(parent, OPEN_FOLDER)


def always_claim(_topic: Topic) -> bool:
    """Work on the topic, whoever else does."""
    return True


class Claims:
    """The topics that this run works on, among all runs with the same `name`: that of a sidecar.

    A claim is a lock on `.cache/NAME.claim`, in which its holder says who it is.
    """

    def __init__(self, name: str, reporter: Reporter) -> None:
        self._name = name
        self._reporter = reporter
        self._held: dict[Topic, int] = {}  # topic to the descriptor of its claim
        self._refused: list[Topic] = []  # in this pass
        self._announced: set[str] = set()  # holders that were waited for
        holder = f"{shlex.join(sys.argv)} (process {os.getpid()} on {socket.gethostname()})"
        self._holder = os.fsencode(holder)

    def passes(self, topics: Sequence[Topic]) -> Iterator[Sequence[Topic]]:
        """Yield all topics, then those that try_claim refused, until it refused none.

        Before each further pass, waits until the first of its topics is free.
        """
        while topics:
            try:
                yield topics
            finally:
                for topic in list(self._held):
                    self.release(topic)
            topics, self._refused = self._refused, []
            while topics and not self._hold(topics[0]):
                self._announce_wait(topics[0])
                time.sleep(CLAIM_POLL_SECONDS)

    def try_claim(self, topic: Topic) -> bool:
        """Try to claim the topic. Returns False if another run works on it.

        Call it only if the topic has work, and re-read the topic's state once it returns True.
        It also returns True if no claim can be had because locks or permissions are missing.
        """
        if self._hold(topic):
            return True
        self._refused.append(topic)
        return False

    def release(self, topic: Topic) -> None:
        file = self._held.pop(topic, None)
        if file is not None:
            unlock(self._claim_path(topic), file)
            with contextlib.suppress(OSError):  # it stays unless it is empty
                os.rmdir(topic.cache_folder)

    def _hold(self, topic: Topic) -> bool:
        if topic in self._held or len(self._held) >= MAX_HELD_CLAIMS:
            return True
        try:
            file = try_lock(self._claim_path(topic))
            if file is None:
                return False
            self._held[topic] = file
            if os.fstat(file).st_size:  # a new file is empty: cutting it would cost a disk access
                os.truncate(file, 0)
            os.write(file, self._holder)
        except OSError:
            pass  # no locks, no permission, no room: nobody can tell, and both may work
        return True

    def _announce_wait(self, topic: Topic) -> None:
        """Say once for each holder that its topic is waited for."""
        holder = ""
        path = self._claim_path(topic)
        with contextlib.suppress(OSError), open(path, errors="surrogateescape") as file:
            holder = file.read()
        holder = terminal.escape(holder or "another run")
        if holder not in self._announced:
            self._announced.add(holder)
            self._reporter.say(f"⏳ {terminal.escape(topic.label)}: waiting for {holder}")

    def _claim_path(self, topic: Topic) -> str:
        return os.path.join(topic.cache_folder, f"{self._name}.claim")
