"""Writes a result as one HTML page that needs nothing else: no network, no other file, small enough to mail.

Knows Jinja2 and thumbnails, and nothing of datasets or scores. Whatever a page shows of names is escaped; a
Content-Security-Policy allows the page's own script and embedded pictures alone, should something slip through.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jinja2
from markupsafe import Markup

from common import atomic_files, images, terminal
from common.cli import MAX_PIXELS, available_cores
from common.reporter import Reporter

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
LIMIT = 4_900_000  # bytes of a page
PICTURES = 3_000_000  # of these at least for thumbnails, where there is much text
ROWS = 20_000  # lines of a list to begin with; halved until the text leaves room for PICTURES
THUMBNAIL = (240, 160)  # pixels at most, twice what a phone shows
QUALITY = 66  # WebP: about 5 kB a thumbnail

Context = Mapping[str, Any]


def write_page(
    path: str,
    template: str,
    context: Callable[[int], Context],
    wanted: Sequence[str],
    talk: Reporter,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Fill `template` with `context(rows)`, where no list is to have more than `rows` lines, and write it to `path`.

    `wanted` are paths of images in the order in which they get a thumbnail while there is room; one that is shown
    twice stands there twice. The template finds them in `thumbnails`, by path, and their number in `left_out`.
    """
    rows, reserved = ROWS, PICTURES if wanted else 0
    while rows > 1 and len(render_page(template, context(rows), {}, 0)) > LIMIT - reserved:
        rows //= 2
    framed = render_page(
        template, context(rows), dict.fromkeys(wanted, "data:"), 0
    )  # all but the pictures themselves
    made = make_thumbnails(wanted, LIMIT - len(framed), max_pixels, talk)
    whole = render_page(template, context(rows), made, len(set(wanted) - made.keys()))
    with atomic_files.atomic_write(path) as file:
        file.write(whole)


def render_page(
    template: str,
    context: Context,
    thumbnails: Mapping[str, str],
    left_out: int,
    script: str = "page.js",
) -> bytes:
    """The page as it is written: `template` filled, with the style and a script from templates/ in it."""
    # The script's own hash is the only one that the page's policy lets run.
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "share": terminal.format_percent,
        "size": terminal.format_bytes,
        "plural": terminal.plural,
        "number": terminal.thousands,
        "name": lambda label: label.rpartition("/")[2] or label,
    }
    source = loader.get_source(environment, script)[0]
    digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
    return (
        environment.get_template(template)
        .render(
            **context,
            thumbnails=thumbnails,
            left_out=left_out,
            script=Markup(source),
            script_hash=f"sha256-{digest}",
        )
        .encode()
    )


def _printable(value: object) -> object:
    """Control characters and bytes that are not UTF-8 appear as escapes, as they do on the terminal."""
    return (
        terminal.escape(value)
        if isinstance(value, str) and not hasattr(value, "__html__")
        else value
    )


def make_thumbnails(
    wanted: Sequence[str],
    room: int,
    max_pixels: int,
    talk: Reporter,
    box: tuple[int, int] = THUMBNAIL,
) -> dict[str, str]:
    """Image path to data URI, in the order wanted, as far as `room` bytes go; '' for an image that cannot be read.

    No picture is larger than `box`, in pixels.
    """
    made: dict[str, str] = {}
    batch = 8 * available_cores()
    with (
        talk.progress(len(wanted), unit="thumbnail") as progress,
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        for start in range(0, len(wanted), batch):
            paths = wanted[start : start + batch]
            drawn = dict(
                zip(
                    paths,
                    pool.map(
                        lambda path: made.get(path) or _thumbnail(path, max_pixels, box), paths
                    ),
                    strict=True,
                )
            )
            for path in paths:
                room -= len(drawn[path])
                if room < 0:
                    return made
                made[path] = drawn[path]
                progress.update()
    return made


def _thumbnail(path: str, max_pixels: int, box: tuple[int, int]) -> str:
    try:
        with images.decode_errors_as_unreadable(path):
            image, _ = images.open_image(path, max_pixels, draft=2 * max(box))
            image.thumbnail(box)
    except images.Unreadable:
        return ""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
