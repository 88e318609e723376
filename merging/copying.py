"""Fills a target folder with files: checks first, then several transfers at once.

Knows nothing of images. merging/transfer.py puts a single file in its place, and
common/target_folder.py is the only one that changes anything there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from common import durability
from common.errors import UserError
from common.target_folder import TargetFolder
from common.terminal import format_bytes
from common.topics import Topic

# Other packages use these through this module.
from merging.transfer import TRANSFER_MODES as TRANSFER_MODES
from merging.transfer import Transfer as Transfer
from merging.transfer import TransferMode as TransferMode
from merging.transfer import transfer_file

BLOCK_BYTES = 4096  # on disk, even for a smaller file


# Checks before anything is written


def folders_between(topics: Iterable[Topic], paths: Iterable[str]) -> list[str]:
    """List the topics' folders and their parents up to `paths`: each may be a link elsewhere."""
    given = set(map(os.path.abspath, paths))
    folders: dict[str, None] = {}
    for topic in topics:
        folder = topic.path
        while folder not in folders:
            folders[folder] = None
            if folder not in given:
                folder = os.path.dirname(folder)
    return list(folders)


def check_not_nested(folders: Iterable[str], target: str, option: str = "--output") -> None:
    """Raise UserError if the target (given by `option`) is inside a folder or contains one."""
    inner = os.path.join(os.path.realpath(target), "")
    for folder in folders:
        outer = os.path.join(os.path.realpath(folder), "")
        if inner.startswith(outer) or outer.startswith(inner):
            raise UserError(
                f"{target}: overlaps the source {folder} (one contains the other); "
                f"give {option} another place"
            )


def nearest_existing_folder(folder: str) -> str:
    """Return the folder, or its nearest parent that exists."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def check_same_file_system(topics: Sequence[Topic], root: str) -> None:
    """Raise UserError if a topic is on another file system than `root`: hard links need one."""
    device = os.stat(root).st_dev
    for topic in topics:
        if os.stat(topic.path).st_dev != device:
            raise UserError(
                f"{topic.path}: on another file system than the target; use --mode copy or symlink"
            )


def check_free_space(target: str, transfers: Iterable[Transfer], free_bytes: int) -> None:
    """Raise UserError if the copies do not fit."""
    needed_bytes = 0
    for transfer in transfers:
        if transfer.mode == TransferMode.COPY:
            blocks = -(-transfer.stamp[0] // BLOCK_BYTES)
            needed_bytes += blocks * BLOCK_BYTES
    if needed_bytes > free_bytes:
        raise UserError(
            f"{target}: {format_bytes(needed_bytes)} needed, {format_bytes(free_bytes)} free; "
            "make room, or use --mode hardlink"
        )


# Writing into the target


def transfer_files(
    transfers: Sequence[Transfer], folder: TargetFolder, on_done: Callable[[Transfer], object]
) -> None:
    """Put every file in its place, and call `on_done` after each.

    The first failure stops the run; files that are in place stay. Raises UserError.
    """
    if not transfers:
        return
    folder.make_staging()  # before the threads, which share it
    remaining = iter(transfers)
    lock = threading.Lock()
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            with lock:
                transfer = next(remaining, None)
            if transfer is None:
                return
            transfer_file(transfer, folder)
            with lock:
                on_done(transfer)

    with ThreadPoolExecutor(durability.SYNC_THREADS) as pool:
        try:
            workers = [pool.submit(work) for _ in range(durability.SYNC_THREADS)]
            for worker in workers:
                worker.result()
        finally:
            stopped.set()
