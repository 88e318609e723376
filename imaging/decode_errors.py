"""Says in words why an image could not be read, and what to do."""

from __future__ import annotations

import contextlib

from PIL import UnidentifiedImageError

from imaging import unread_content

SNIFFED_BYTES = 512  # at a file's start, to tell text from an image
# In what decoders say of a file that was cut; the last one if it has no pixels.
CUT_FILE_MESSAGES = ("truncated", "end of file", "cannot load this image")


def reason_in_words(path: str, error: Exception) -> str:
    """Say why a file could not be read, and what to do."""
    match error:
        case PermissionError():
            return "permission denied; make it readable (chmod +r)"
        case FileNotFoundError():
            return "deleted since the folder was listed"
        case MemoryError():
            return "too large for the free memory; lower --max-pixels or --workers"
        case OSError() if error.errno:
            return f"cannot be read ({error.strerror}); check its disk or network share"
    message = " ".join(str(error).split())
    try:
        with open(path, "rb") as file:
            start = file.read(SNIFFED_BYTES)
    except OSError:
        return message
    if not start:
        return "empty file; fetch it again or delete it"
    if isinstance(error, UnidentifiedImageError):
        with contextlib.suppress(OSError):
            if kind := unread_content.describe_unread_image(path):
                return kind
        kind = "its header is broken or cut short, or its format unknown"
        if _looks_like_text(start):
            kind = "text or a web page"
        return f"not an image ({kind}); fetch it again or delete it"
    says_cut = any(words in message.lower() for words in CUT_FILE_MESSAGES)
    if says_cut or isinstance(error, EOFError):
        return "cut short: its end is missing; fetch it again"
    return f"damaged or cut short ({message or type(error).__name__}); fetch it again"


def _looks_like_text(start: bytes) -> bool:
    if b"\0" in start:
        return False
    return start.isascii() or start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{")
