"""A folder that a merge or an export fills: the only way to change anything below it.

The folder is opened once, and everything below it is reached from there, one name after the other,
without following a link. So a link that somebody puts below it, even during the run, never leads
out of it. A *place* is a path below the folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterable, Iterator
from typing import IO

from common import durability
from common.errors import UserError, os_error_to_user_error
from common.topics import Stamp, stamp_from_status

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
STAGING_FOLDER = ".merge_unfinished"  # on the target's file system, so a rename is enough
# What runs leave in it when they are killed: ours, and those of earlier versions.
STAGED_NAME = re.compile(r"\.[0-9a-f]{16}\.tmp")
# Errors of file systems that lack a feature; network and FUSE ones vary.
NO_LINK_ERRNOS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}
NO_ATTRIBUTE_ERRNOS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def check_place(place: object) -> str:
    """Return the place if it stays below its folder. Raises ValueError or TypeError."""
    if not isinstance(place, str):
        raise TypeError("not a path")
    os.fsencode(place)  # a lone surrogate is in no file name
    if "\0" in place or any(part in ("", ".", "..") for part in place.split(os.sep)):
        raise ValueError("not a path below its folder")
    return place


class TargetFolder:
    """The folder at `path`; `option` is the one that gave it. Use it as a context manager.

    It may be missing as long as nothing is written. Every method raises UserError if a folder
    on the way to a place is a link.
    """

    def __init__(self, path: str, option: str) -> None:
        self.path = path
        self._option = option
        self._root: int | None = None
        self._staging: int | None = None

    def __enter__(self) -> TargetFolder:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._open_root()
        return self

    def __exit__(self, *_: object) -> None:
        if self._root is not None:
            os.close(self._root)
            self._root = None

    def _open_root(self) -> int:
        if self._root is None:
            try:
                # The target itself may be a link: it is the folder that the user named.
                self._root = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError as error:
                raise os_error_to_user_error(self.path, "opened", error) from None
        return self._root

    def place_of(self, path: str) -> str:
        """Return the place of a path below the folder. Raises UserError for any other."""
        prefix = os.path.join(self.path, "")
        if not path.startswith(prefix):
            raise UserError(f"{path}: not in {self.path}; somebody put a link there, remove it")
        return check_place(path[len(prefix) :])

    def path_of(self, place: str) -> str:
        return os.path.join(self.path, place) if place else self.path

    # Looking

    @contextlib.contextmanager
    def open_folder(self, place: str, make: bool = False) -> Iterator[int]:
        """Open the folder at a place (empty for the target itself), and yield its descriptor.

        With `make`, missing folders are made. Raises FileNotFoundError, NotADirectoryError.
        """
        current = os.dup(self._open_root())
        try:
            walked = ""
            for name in place.split(os.sep) if place else ():
                walked = os.path.join(walked, name)
                inner = self._open_next(current, name, walked, make)
                os.close(current)
                current = inner
            yield current
        finally:
            os.close(current)

    def _open_next(self, parent: int, name: str, place: str, make: bool) -> int:
        try:
            try:
                return os.open(name, FOLDER_FLAGS, dir_fd=parent)
            except FileNotFoundError:
                if not make:
                    raise
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            return os.open(name, FOLDER_FLAGS, dir_fd=parent)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(name, parent):
                raise self._link_error(place, "a folder") from None
            if not make and isinstance(error, FileNotFoundError | NotADirectoryError):
                raise
            use = "made" if make else "opened"
            raise os_error_to_user_error(self.path_of(place), use, error) from None

    def _link_error(self, place: str, wanted: str) -> UserError:
        return UserError(
            f"{self.path_of(place)}: a link where {wanted} of the target is needed, and links "
            f"are not followed; move it away, or give {self._option} another place"
        )

    @contextlib.contextmanager
    def _parent(self, place: str, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder that holds a place. Yields its descriptor, and the last name."""
        folder, name = os.path.split(check_place(place))
        with self.open_folder(folder, make) as parent:
            yield parent, name

    def status(self, place: str) -> os.stat_result | None:
        """Return what is at a place, not following a link; None if nothing is."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            try:
                with self._parent(place) as (parent, name):
                    return os.stat(name, dir_fd=parent, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                raise
            except OSError as error:
                raise os_error_to_user_error(self.path_of(place), "read", error) from None
        return None

    def link_target(self, place: str) -> str:
        """Return where the link at a place leads. Raises OSError if it is no link."""
        with self._parent(place) as (parent, name):
            return os.readlink(name, dir_fd=parent)

    def open_file(self, place: str) -> IO[bytes]:
        """Open the regular file at a place for reading. Raises OSError if it is no such file."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe never blocks
        with self._parent(place) as (parent, name):
            number = os.open(name, flags, dir_fd=parent)
        file = open(number, "rb")  # noqa: SIM115
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "not a regular file", self.path_of(place))
        return file

    def read(self, place: str) -> bytes | None:
        """Return the bytes of the regular file at a place; None if there is none to read."""
        try:
            with self.open_file(place) as file:
                return file.read()
        except OSError:
            return None

    def names(self) -> set[str]:
        """Return the names in the folder, except that of the staging folder."""
        if self._root is None:
            return set()
        try:
            return set(os.listdir(self._root)) - {STAGING_FOLDER}
        except OSError as error:
            raise os_error_to_user_error(self.path, "read", error) from None

    def check_folders(self, places: Iterable[str]) -> None:
        """Raise UserError if a folder at one of the places, or on the way there, is a link."""
        if self._root is None:
            return
        for place in (STAGING_FOLDER, *places):
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                self.open_folder(place),
            ):
                pass

    def check_replaceable(self, places: Iterable[str]) -> None:
        """Raise UserError if something other than a regular file is where we write one."""
        if self._root is None:
            return
        for place in places:
            self._check_regular(place, self.status(place))

    def _check_regular(self, place: str, status: os.stat_result | None) -> None:
        if status is None or stat.S_ISREG(status.st_mode):
            return
        if stat.S_ISLNK(status.st_mode):
            raise self._link_error(place, "a file")
        raise UserError(
            f"{self.path_of(place)}: not a regular file, and a file goes there; move it away, "
            f"or give {self._option} another place"
        )

    # Changing

    def hold(self) -> None:
        """Lock out other runs until the folder is closed, if it exists. Raises UserError.

        What is planned from its files would be wrong if another run were writing them meanwhile.
        """
        if self._root is not None:
            _lock_folder(self._root, self.path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[TargetFolder]:
        """Make the folder, lock out other runs, and delete what a killed run left behind."""
        try:
            os.makedirs(self.path, exist_ok=True)
            root = self._open_root()
        except OSError as error:
            raise os_error_to_user_error(self.path, "made", error) from None
        _lock_folder(root, self.path)
        try:
            self.check_folders([])
            self._remove_staging()
            yield self
        finally:
            self._remove_staging()
            with contextlib.suppress(OSError):
                fcntl.flock(root, fcntl.LOCK_UN)

    def make_staging(self) -> int:
        """Return the descriptor of the staging folder, made if it is missing."""
        if self._staging is None:
            with self.open_folder(STAGING_FOLDER, make=True) as folder:
                self._staging = os.dup(folder)
        return self._staging

    def _remove_staging(self) -> None:
        """Delete the files of ours in the staging folder, and the folder if it is empty then."""
        with contextlib.suppress(OSError, UserError), self.open_folder(STAGING_FOLDER) as folder:
            for name in filter(STAGED_NAME.fullmatch, os.listdir(folder)):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=folder)
        if self._staging is not None:
            os.close(self._staging)
            self._staging = None
        with contextlib.suppress(OSError):
            os.rmdir(STAGING_FOLDER, dir_fd=self._open_root())

    def make_folder(self, place: str) -> None:
        """Make a folder and its parents. Raises UserError."""
        with self.open_folder(place, make=True):
            pass

    def create_temporary(self) -> tuple[str, IO[bytes]]:
        """Create a file in the staging folder. Returns its name, and the file open for writing."""
        name = temporary_name()
        staging = self.make_staging()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return name, open(os.open(name, flags, 0o666, dir_fd=staging), "wb")

    def discard_temporary(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self.make_staging())

    def add_hard_link(self, source: str, place: str) -> None:
        """Make a hard link to `source`, which is no link. Raises FileExistsError, OSError."""
        with self._parent(place) as (parent, name):
            os.link(source, name, dst_dir_fd=parent, follow_symlinks=False)
            durability.note_rename(os.path.dirname(self.path_of(place)))

    def add_symlink(self, source: str, place: str) -> None:
        """Make a link that leads to `source`. Raises FileExistsError, OSError."""
        with self._parent(place) as (parent, name):
            os.symlink(source, name, dir_fd=parent)
            durability.note_rename(os.path.dirname(self.path_of(place)))

    def stage_link(self, source: str, is_hard: bool) -> str:
        """Make a link in the staging folder. Returns its name. Raises OSError."""
        name = temporary_name()
        staging = self.make_staging()
        if is_hard:
            os.link(source, name, dst_dir_fd=staging, follow_symlinks=False)
        else:
            os.symlink(source, name, dir_fd=staging)
        return name

    def move_into_place(self, temporary: str, place: str, replaced: Stamp | None = None) -> None:
        """Move a staged file to a place where nothing is. Raises FileExistsError, OSError.

        With `replaced`, the regular file with this stamp at the place is replaced. Only a link
        checks for a file and creates the name in one step.
        """
        staging = self.make_staging()
        with self._parent(place) as (parent, name):
            if replaced is not None:
                status = os.stat(name, dir_fd=parent, follow_symlinks=False)
                is_same = stamp_from_status(status) == replaced
                if not is_same or not stat.S_ISREG(status.st_mode):
                    raise FileExistsError(errno.EEXIST, "exists", self.path_of(place))
                os.rename(temporary, name, src_dir_fd=staging, dst_dir_fd=parent)
            else:
                self._move_to_free_name(temporary, parent, name, place)
            durability.note_rename(os.path.dirname(self.path_of(place)))

    def _move_to_free_name(self, temporary: str, parent: int, name: str, place: str) -> None:
        staging = self.make_staging()
        try:
            os.link(temporary, name, src_dir_fd=staging, dst_dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINK_ERRNOS:
                raise
            with contextlib.suppress(FileNotFoundError):
                os.stat(name, dir_fd=parent, follow_symlinks=False)
                raise FileExistsError(errno.EEXIST, "exists", self.path_of(place)) from None
            os.rename(temporary, name, src_dir_fd=staging, dst_dir_fd=parent)
        else:
            os.unlink(temporary, dir_fd=staging)

    @contextlib.contextmanager
    def replace_file(self, path: str, time_ns: int | None = None) -> Iterator[IO[bytes]]:
        """Open a file that replaces the one at `path` when the block ends well.

        Its folder is made if it is missing. Raises UserError if it cannot be written, or if a link
        or something else that is no regular file is there.
        """
        place = self.place_of(path)
        temporary = ""
        try:
            temporary, file = self.create_temporary()
            with file:
                yield file
                file.flush()
                self._finish_file(file, place, time_ns)
            with self._parent(place, make=True) as (parent, name):
                self._check_regular(place, _status_in(parent, name))
                staging = self.make_staging()
                os.replace(temporary, name, src_dir_fd=staging, dst_dir_fd=parent)
                durability.note_rename(os.path.dirname(self.path_of(place)))
        except BaseException as error:
            if temporary:
                self.discard_temporary(temporary)
            if isinstance(error, OSError):
                raise os_error_to_user_error(path, "written", error) from None
            raise

    def _finish_file(self, file: IO[bytes], place: str, time_ns: int | None) -> None:
        """Set the permissions of the file that is replaced, and the time; sync."""
        if old := self.status(place):
            with contextlib.suppress(OSError):
                os.fchmod(file.fileno(), old.st_mode & 0o777)
        if time_ns is not None:
            set_times(file, time_ns, time_ns)
        durability.fsync_file(file)

    def remove_file(self, place: str, source: str, expected: os.stat_result) -> bool:
        """Delete the file at a place if it is still `expected`, and not `source` itself.

        Returns whether it was deleted. Raises OSError.
        """
        with self._parent(place) as (parent, name):
            status = _status_in(parent, name)
            if status is None:
                return True
            has_same_stamp = stamp_from_status(status) == stamp_from_status(expected)
            is_expected = os.path.samestat(status, expected) and has_same_stamp
            if not is_expected or is_entry(parent, name, source):
                return False
            os.unlink(name, dir_fd=parent)
            return True

    def remove_empty_folder(self, place: str) -> bool:
        """Remove a folder if it is empty. Returns whether none is there now."""
        try:
            with self._parent(place) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            pass
        except OSError:  # not empty
            return False
        return True


def temporary_name() -> str:
    return f".{os.urandom(8).hex()}.tmp"


def set_times(file: IO[bytes], atime_ns: int, mtime_ns: int) -> None:
    """Set the times of an open file, on file systems where that is possible and allowed."""
    try:
        os.utime(file.fileno(), ns=(atime_ns, mtime_ns))
    except OSError as error:
        if error.errno not in NO_ATTRIBUTE_ERRNOS:
            raise


def is_entry(parent: int, name: str, path: str) -> bool:
    """Tell whether `name` in the open folder and `path` are one entry of one folder."""
    if not path:
        return False
    for known in (path, os.path.realpath(path)):
        folder, known_name = os.path.split(known)
        with contextlib.suppress(OSError):
            if known_name == name and os.path.samestat(os.stat(folder), os.fstat(parent)):
                return True
    return False


def _status_in(parent: int, name: str) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    return None


def _is_link(name: str, parent: int) -> bool:
    status = _status_in(parent, name)
    return status is not None and stat.S_ISLNK(status.st_mode)


def _lock_folder(folder: int, path: str) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"{path}: another run is writing to it; wait until that run has ended"
        ) from None
    except OSError:  # a file system without locks
        pass
