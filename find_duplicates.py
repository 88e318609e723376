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

--across compares the topics of a dataset with one another too, --against looks for copies of the images in reference
folders; both write duplicates_across.json into the dataset's folder.

It never deletes, moves or changes an image; files whose topic is gone are named, and stay. Before you merge, look.

examples:
  find_duplicates.py DataSet                                 then: duplicates_stats.py DataSet
  find_duplicates.py DataSet --across --against Benchmark    copies in other topics, and of a test set
  find_duplicates.py DataSet --variants                      mirrored, cropped, captioned ones too
  find_duplicates.py --explain a.jpg b.jpg                   what is measured of a pair, and why that is the answer
  find_duplicates.py DataSet --method clip                   after aesthetic_scorer.py DataSet
  find_duplicates.py DataSet_* --json --quiet > found.json   from cron
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from common import cache, cli, decisions, json_files, terminal, tree
from common.clip import model
from common.errors import UserError
from common.reporter import Reporter, print_result
from duplicates import options, references

if TYPE_CHECKING:
    from duplicates.results import TopicSummary

SHOWN = 5  # of the largest sets


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk = Reporter(args)
    if args.explain:
        return explain(args, talk)
    threshold = options.resolve_threshold(args)
    if args.no_verify:
        talk.warn("--no-verify is gone, every pair is looked at closely: leave it out")
    topics = checked(tree.find_topics(args.paths, talk.warn), talk)
    references.check_references(
        args.against, args.paths, topics if args.across or args.against else []
    )
    decisions.add_decisions(topics, talk, args.decisions)
    told = searched(topics, threshold, args, talk)
    talk.print_totals(
        told["images"], searched=told["images"] - told["unreadable"], unreadable=told["unreadable"]
    )
    print_result(args, summary(told, args.variants), told)
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    options.add_options(parser)
    model.add_model_options(parser)
    return parser.parse_args(argv)


def explain(args: argparse.Namespace, talk: Reporter) -> int:
    """Print what a close look says of two files. Raises UserError."""
    if len(args.paths) != 2:
        raise UserError("--explain: wants two image files, and nothing else")
    from duplicates import explain

    one, other = args.paths
    told = explain.explain_pair(one, other, args.max_pixels)
    print_result(args, explain.explanation_lines(told), explain.explanation_json(told))
    return talk.status


def checked(topics: list[tree.Topic], talk: Reporter) -> list[tree.Topic]:
    """The topics whose results can be written, which is known then; names the files whose topic is gone."""
    for subcluster in dict.fromkeys(os.path.dirname(topic.path) for topic in topics):
        json_files.check_writable(subcluster)
        for path in json_files.orphaned_files(subcluster):
            talk.warn(f"{terminal.escape(path)}: its topic is gone; delete it if that is meant")
    for topic in topics:
        cache.check_writable(topic)
        if not json_files.has_valid_record_name(topic):
            talk.warn(
                f"{terminal.escape(topic.path)}: not searched, too long a name for duplicates_NAME.json; shorten it"
            )
    return list(filter(json_files.has_valid_record_name, topics))


def searched(
    topics: Sequence[tree.Topic], threshold: float, args: argparse.Namespace, talk: Reporter
) -> dict[str, Any]:
    """Search each topic, and beyond it where that is asked for; the object that --json prints."""
    from common.clip.ray import client
    from duplicates import proposers, search, search_across  # Pillow, numpy
    from duplicates.pool import Pool

    method = proposers.make_proposer(threshold, args, talk)
    with client.open_fleet(args, talk) as machines, Pool(args.workers, machines) as pool:
        told = result(
            search.search_topics(topics, method, args, pool, talk), threshold, args.method, talk
        )
        if args.across or args.against:
            told["across"] = search_across.search_datasets(topics, method, args, pool, talk)
    return told


def result(
    found: Sequence[TopicSummary], threshold: float, method: str, talk: Reporter
) -> dict[str, Any]:
    """What is told of topics."""
    return {
        "images": sum(one.images for one in found),
        "topics": len(found),
        "matches": sum(one.pairs for one in found),
        "redundant": sum(len(one.left_out) for one in found),
        "variants": dict(sum((Counter(one.variants) for one in found), Counter())),
        "doubtful_untold": sum(one.untold for one in found),
        "unreadable": talk.unreadable,
        "method": method,
        "threshold": threshold,
        "largest": largest(found),
    }


def kinds(variants: dict[str, int]) -> list[str]:
    return [
        f"{count:,} {kind}" for kind, count in sorted(variants.items(), key=lambda entry: -entry[1])
    ]


def largest(found: Sequence[TopicSummary]) -> list[dict[str, Any]]:
    """The largest sets of all topics: the topic, the image that stays, and those that a merge would leave out."""
    sets = [
        (-len(copies), one.label, keeper, copies)
        for one in found
        for keeper, copies in one.sets.items()
    ]
    return [
        {"topic": topic, "keeper": keeper, "copies": copies}
        for _, topic, keeper, copies in sorted(sets)[:SHOWN]
    ]


def summary(told: dict[str, Any], variants: bool) -> Iterator[str]:
    """The lines for people."""
    yield "🔎 Duplicates"
    yield f"   📁 topics            {told['topics']:>12,}"
    yield f"   🖼  images            {told['images']:>12,}"
    yield f"   🔗 matches           {told['matches']:>12,}"
    yield f"   ✂️  redundant         {told['redundant']:>12,}  a merge would leave them out"
    if variants:
        doubtful = told["variants"].get(json_files.DOUBTFUL, 0)
        likely = {
            kind: count for kind, count in told["variants"].items() if kind != json_files.DOUBTFUL
        }
        yield f"   🪞 variants          {sum(likely.values()):>12,}  {terminal.list_few(kinds(likely))}"
        untold = (
            f"; {told['doubtful_untold']:,} less likely ones are not told"
            if told["doubtful_untold"]
            else ""
        )
        yield f"   🤔 doubtful          {doubtful:>12,}  for you to look at{untold}"
    yield f"   ❌ unreadable        {told['unreadable']:>12,}"
    if beyond := told.get("across"):
        for name, told_of in (
            ("🌐 across topics ", beyond["pairs"]),
            ("📌 and references", beyond["references"]),
        ):
            yield f"   {name}    {sum(told_of.values()):>12,}  {terminal.list_few(kinds(told_of))}".rstrip()
    near = "cosine similarity from {:g}" if told["method"] == "clip" else "hashes within {:g} bits"
    yield f"   🧭 method            {told['method']}, {near.format(told['threshold'])}, then a close look"
    yield from ["", "👯 Largest sets"] if told["largest"] else []
    for one in told["largest"]:
        stands = f"{terminal.escape(one['keeper'])} stands for {terminal.list_few(one['copies'])}"
        yield f"   {terminal.truncate_middle(terminal.escape(one['topic']), terminal.MAX_WIDTH - 3)}"
        yield f"      {terminal.truncate_middle(stands, terminal.MAX_WIDTH - 6)}"


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
