#!/usr/bin/env python3
"""Find images that are copies of each other, within each topic of DataSet/Cluster/Subcluster/Topic.

Writes duplicates_<topic>.json beside each topic folder. Every image is a key, with its direct matches:

    {
      "beach.jpg": ["beach_small.png"],
      "beach_small.png": ["beach.jpg"],
      "forest.jpg": []
    }

It finds re-encoded, resized, rotated by EXIF, brightened, grey, slightly cropped or marked copies. --method says what
proposes pairs: phash (default) compares perceptual hashes, clip the vectors of a dataset that was scored; both compare
every pair. A close look at both pictures decides. What was computed and seen stays in each topic's .cache/ folder (safe
to delete): a second run opens only what is new, and another --threshold only what nobody has looked at yet.

With --variants it also writes variants_<topic>.json: pictures made from the same one that cannot stand for each other.

    {"beach.jpg": {"beach_mirrored.jpg": "mirrored"}, "beach_mirrored.jpg": {"beach.jpg": "mirrored"}}

Kinds are mirrored, turned, contained (in a screenshot or collage), framed, captioned, overlaid, cropped, recoloured and
doubtful: too alike to ignore, too different to decide. Without it an earlier file keeps what still holds.

It never deletes, moves or changes an image; files whose topic is gone are named, and stay. Before you merge, look.

examples:
  find_duplicates.py DataSet                                 then: duplicates_stats.py DataSet
  find_duplicates.py DataSet --threshold 8                   fewer, closer matches
  find_duplicates.py DataSet --variants                      mirrored, cropped, captioned ones too
  find_duplicates.py --explain a.jpg b.jpg                   what is measured of a pair, and why that is the answer
  find_duplicates.py DataSet --method clip                   after aesthetic_scorer.py DataSet
  find_duplicates.py DataSet_* --json --quiet > found.json   from cron
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from common import cli, text
from common.dataset import cache, records, tree
from common.duplicates import decisions
from common.errors import UserError
from common.output import Talk, show
from common.vectors import model

if TYPE_CHECKING:
    from common.duplicates.matching import Found
    from common.duplicates.pool import Pool
    from common.duplicates.settling import Settler

DISTANCE = 14  # bits; the second look decides. Recall and precision on planted copies: docs/find_duplicates.md
COSINE = 0.98  # conservative, and unmeasured: no real weights were at hand
MANY = 20_000  # vectors from which on a GPU pays, even with the seconds that torch takes to load
SHOWN = 5  # of the largest sets


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk = Talk(args)
    if args.explain:
        return explain(args, talk)
    threshold = chosen_threshold(args)
    if args.no_verify:
        talk.warn("--no-verify is gone, every pair is looked at closely: leave it out")
    topics = checked(tree.topics(args.paths, talk.warn), talk)
    if args.decisions:
        decisions.join(topics, args.decisions)
    decisions.tell(topics, talk)
    search = search_by_clip if args.method == "clip" else search_by_phash
    found = search(topics, threshold, args, talk)
    images = sum(one.images for one in found)
    talk.tally(images, searched=images - talk.unreadable, unreadable=talk.unreadable)
    show(args, summary(found, threshold, args, talk), result(found, threshold, args, talk))
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    search = parser.add_argument_group("search")
    search.add_argument("--method", choices=("phash", "clip"), default="phash", help="default: %(default)s")
    search.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help=f"phash: bits in which hashes may differ, 0 to 64 (default: {DISTANCE}); clip: least cosine similarity "
        f"(default: {COSINE}, conservative and unmeasured: look at what it finds)",
    )
    search.add_argument(
        "--decisions", metavar="FILE", help="first add what a person decided to the dataset's decisions.json"
    )
    search.add_argument(
        "--variants",
        action="store_true",
        help="also look for pictures made from the same one: mirrored, turned, cropped, framed, captioned, ...",
    )
    search.add_argument(
        "--explain",
        action="store_true",
        help="of two image files: what a close look measures, and what follows from it",
    )
    search.add_argument("--no-verify", action="store_true", help=argparse.SUPPRESS)
    model.add_options(parser)
    return parser.parse_args(argv)


def explain(args: argparse.Namespace, talk: Talk) -> int:
    """Print what a close look says of two files. Raises UserError."""
    if len(args.paths) != 2:
        raise UserError("--explain: wants two image files, and nothing else")
    from common.duplicates import explaining

    one, other = args.paths
    told = explaining.explained(one, other, args.max_pixels)
    show(args, explaining.lines(told), explaining.result(told))
    return talk.status


def chosen_threshold(args: argparse.Namespace) -> float:
    """The threshold, checked for the method. Raises UserError."""
    given, clip = args.threshold, args.method == "clip"
    if given is None:
        return COSINE if clip else DISTANCE
    if clip and not 0 < given <= 1:
        raise UserError(f"--threshold {given:g}: a cosine similarity is above 0 and at most 1")
    if not clip and given not in set(range(65)):
        raise UserError(f"--threshold {given:g}: a Hamming distance is a whole number from 0 to 64")
    return float(given) if clip else int(given)


def checked(topics: list[tree.Topic], talk: Talk) -> list[tree.Topic]:
    """The topics whose results can be written, which is known then; names the files whose topic is gone."""
    for subcluster in dict.fromkeys(os.path.dirname(topic.path) for topic in topics):
        records.check_writable(subcluster)
        for path in records.strays(subcluster):
            talk.warn(f"{text.shown(path)}: its topic is gone; delete it if that is meant")
    for topic in topics:
        cache.check_writable(topic)
        if not records.can_be_named(topic):
            talk.warn(f"{text.shown(topic.path)}: not searched, too long a name for duplicates_NAME.json; shorten it")
    return list(filter(records.can_be_named, topics))


def search_by_phash(topics: Sequence[tree.Topic], distance: float, args: argparse.Namespace, talk: Talk) -> list[Found]:
    from common.duplicates import hashing, proposals  # Pillow, numpy

    with searching(args, talk, {"method": "phash", "threshold": distance}) as (settle, pool):
        for work in hashing.hashed(topics, pool, args.max_pixels, talk):
            near, equal = proposals.by_hash(work.prints, work.stamps, int(distance))
            settle(work.topic, work.stamps, work.prints, near, equal)
    return [settle.found[topic.path] for topic in topics]


def search_by_clip(topics: Sequence[tree.Topic], cosine: float, args: argparse.Namespace, talk: Talk) -> list[Found]:
    chosen = model.chosen(args)
    if chosen.is_tiny:
        raise UserError("--model tiny judges sharpness and noise, not what a picture shows; use --method phash")
    from common.duplicates import proposals
    from common.vectors import embed, towers  # numpy, and torch where an image must be opened or topics are large
    from common.vectors.engine import Engine

    with searching(args, talk, {"method": "clip", "threshold": cosine, **chosen.about}) as (settle, _):
        for work in embed.embedded(topics, chosen, lambda: Engine(chosen, args, talk), talk):
            by_torch = len(work.stamps) >= MANY or args.device not in ("auto", "cpu")
            device = str(towers.device_named(args.device)) if by_torch else "cpu"
            near = proposals.by_vectors(work.vectors, work.stamps, cosine, device)
            settle(work.topic, work.stamps, work.vectors, near, [])
    return [settle.found[topic.path] for topic in topics]


@contextlib.contextmanager
def searching(args: argparse.Namespace, talk: Talk, method: dict[str, Any]) -> Iterator[tuple[Settler, Pool]]:
    """What looks at a topic's proposed pairs and writes what it sees, and the processes for it."""
    from common.duplicates import pool, settling

    with pool.Pool(args.workers) as processes, settling.Settler(args, talk, method, processes) as settle:
        yield settle, processes


def result(found: Sequence[Found], threshold: float, args: argparse.Namespace, talk: Talk) -> dict[str, Any]:
    """The object that --json prints."""
    return {
        "images": sum(one.images for one in found),
        "topics": len(found),
        "matches": sum(one.pairs for one in found),
        "redundant": sum(len(one.left_out) for one in found),
        "variants": dict(sum((Counter(one.variants) for one in found), Counter())),
        "doubtful_untold": sum(one.untold for one in found),
        "unreadable": talk.unreadable,
        "method": args.method,
        "threshold": threshold,
        "largest": [{"topic": topic, "keeper": keeper, "copies": copies} for topic, keeper, copies in largest(found)],
    }


def kinds(variants: dict[str, int]) -> list[str]:
    return [f"{count:,} {kind}" for kind, count in sorted(variants.items(), key=lambda entry: -entry[1])]


def largest(found: Sequence[Found]) -> list[tuple[str, str, list[str]]]:
    """The largest sets of all topics: the topic, the image that stays, and those that a merge would leave out."""
    sets = [(one.label, keeper, copies) for one in found for keeper, copies in one.sets.items()]
    return sorted(sets, key=lambda entry: (-len(entry[2]), entry[0], entry[1]))[:SHOWN]


def summary(found: Sequence[Found], threshold: float, args: argparse.Namespace, talk: Talk) -> Iterator[str]:
    """The lines for people."""
    told = result(found, threshold, args, talk)
    yield "🔎 Duplicates"
    yield f"   📁 topics            {told['topics']:>12,}"
    yield f"   🖼  images            {told['images']:>12,}"
    yield f"   🔗 matches           {told['matches']:>12,}"
    yield f"   ✂️  redundant         {told['redundant']:>12,}  a merge would leave them out"
    if args.variants:
        doubtful = told["variants"].pop(records.DOUBTFUL, 0)
        yield f"   🪞 variants          {sum(told['variants'].values()):>12,}  {text.sampled(kinds(told['variants']))}"
        untold = f"; {told['doubtful_untold']:,} less likely ones are not told" if told["doubtful_untold"] else ""
        yield f"   🤔 doubtful          {doubtful:>12,}  for you to look at{untold}"
    yield f"   ❌ unreadable        {told['unreadable']:>12,}"
    near = f"cosine similarity from {threshold:g}" if args.method == "clip" else f"hashes within {threshold:g} bits"
    yield f"   🧭 method            {args.method}, {near}, then a close look"
    sets = largest(found)
    yield from ["", "👯 Largest sets"] if sets else []
    for topic, keeper, copies in sets:
        yield f"   {text.clipped(text.shown(topic), text.columns() - 3)}"
        yield f"      {text.clipped(f'{text.shown(keeper)} stands for {text.sampled(copies)}', text.columns() - 6)}"


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
