#!/usr/bin/env python3
"""Find images that are copies of each other, within each topic of DataSet/Cluster/Subcluster/Topic.

Writes duplicates_<topic>.json beside each topic folder. Every image is a key, with its direct
matches:

    {
      "beach.jpg": ["beach_small.png"],
      "beach_small.png": ["beach.jpg"],
      "forest.jpg": []
    }

It finds re-encoded, resized, brightened, grey, slightly cropped or marked copies, also if an EXIF
tag rotates them. --method says what proposes pairs: phash (default) compares perceptual hashes,
clip compares the vectors of a scored dataset. Both compare every image with every other. A pixel
comparison then decides about each proposed pair. Hashes and decisions stay in each topic's .cache/
folder (safe to delete): a second run opens only new images, and another --threshold only pairs that
were not compared before.

--variants also writes variants_<topic>.json: versions of one image that are not interchangeable.

    {
      "beach.jpg": {"beach_mirrored.jpg": "mirrored"},
      "beach_mirrored.jpg": {"beach.jpg": "mirrored"}
    }

Kinds are mirrored, turned, contained (in a screenshot or collage), framed, captioned, overlaid,
cropped, recoloured and doubtful: too similar to ignore, too different to decide. Two windows of one
picture are cropped in the file and reported as overlapping: a split links them, a merge keeps both.
Without --variants an earlier file keeps the pairs that are still valid.

--across also compares the topics of a dataset with each other, --against finds copies of the images
in reference folders. Both write duplicates_across.json into the dataset's folder.

It never deletes, moves or changes an image. Result files whose topic is gone are listed and kept.
Review the results before you merge.

examples:
  find_duplicates.py DataSet                                 then: duplicates_stats.py DataSet
  find_duplicates.py DataSet --across --against Benchmark    also in other topics and a test set
  find_duplicates.py DataSet --variants                      also mirrored, cropped, captioned ones
  find_duplicates.py --explain a.jpg b.jpg                   what is measured, what rule decides
  find_duplicates.py DataSet --method clip                   after aesthetic_scorer.py DataSet
  find_duplicates.py DataSet_* --json --quiet > found.json   from cron
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth", "numpy", "PIL", "imagehash", "cv2", "faiss", "threadpoolctl")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common import atomic_files, cache, cli, json_files, terminal, tree
from common.clip import worker_limits
from common.clip.options import add_model_options
from common.errors import UserError
from common.reporter import Reporter, print_result
from common.topics import Topic
from duplicates import options, references
from keeping import decision_files

if TYPE_CHECKING:
    from duplicates.results import TopicSummary

MIN_MEMORY_LIMIT_BYTES = 700_000_000  # of ulimit -v; at 600 MB small images can be searched
MAX_LARGEST_SETS = 5  # shown in the summary


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    if args.explain:
        return explain_pair(args, reporter)
    threshold = options.resolve_threshold(args)
    worker_limits.check_memory_limit(MIN_MEMORY_LIMIT_BYTES)
    if args.no_verify:
        reporter.warn("--no-verify is gone, every pair is verified: leave it out")
    topics = writable_topics(tree.find_given_topics(args, reporter), reporter)
    across_topics = topics if args.across or args.against else []
    references.check_references(args.against, args.paths, across_topics)
    if args.across and len({topic.dataset_path for topic in topics}) > 1:
        reporter.say("--across compares topics within each dataset, not datasets with one another")
    decision_files.add_decisions(topics, reporter, args.decisions)
    result = search(topics, threshold, args, reporter)
    searched = result["images"] - result["unreadable"]
    reporter.print_totals(result["images"], searched=searched, unreadable=result["unreadable"])
    lines = list(summary_lines(result, args.variants, bool(args.against)))
    lines += cli.next_step(args, "duplicates_stats.py", *args.paths, "--html", "review.html")
    print_result(args, lines, result | reporter.as_json())
    return reporter.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    options.add_options(parser)
    add_model_options(parser)
    return parser.parse_args(argv)


def explain_pair(args: argparse.Namespace, reporter: Reporter) -> int:
    """Print what is measured of two image files and which rule decides. Raises UserError."""
    if len(args.paths) != 2:
        raise UserError("--explain: wants two image files, and nothing else")
    from duplicates import explain, proposers  # OpenCV, numpy

    one, other = args.paths
    proposer = None
    if args.method == "phash":
        proposer = proposers.PhashProposer(options.resolve_threshold(args), args, reporter)
    explanation = explain.explain_pair(one, other, args.max_pixels, proposer)
    lines = explain.explanation_lines(explanation)
    print_result(args, lines, explain.explanation_json(explanation))
    return reporter.status


def writable_topics(topics: list[Topic], reporter: Reporter) -> list[Topic]:
    """Fail early if a topic's folder is not writable; drop topics whose name is too long.

    Warns about these, and about result files whose topic is gone. Raises UserError.
    """
    for subcluster in dict.fromkeys(os.path.dirname(topic.path) for topic in topics):
        atomic_files.check_writable(subcluster)
        for path in json_files.list_orphans(subcluster):
            reporter.warn(
                f"{terminal.escape(path)}: its topic is gone; delete it if that is intended"
            )
    writable = []
    for topic in topics:
        cache.check_writable(topic)
        if json_files.can_name_results(topic):
            writable.append(topic)
        else:
            reporter.warn(
                f"{terminal.escape(topic.path)}: not searched, its name is too long for "
                "duplicates_NAME.json; shorten it"
            )
    return writable


def search(
    topics: Sequence[Topic], threshold: float, args: argparse.Namespace, reporter: Reporter
) -> dict[str, Any]:
    """Search each topic, then across topics if asked to. Returns the object that --json prints."""
    from common.clip.ray import client
    from duplicates import partial_topics, proposers, search, search_across  # Pillow, numpy
    from duplicates.pool import Pool

    proposer = proposers.make_proposer(threshold, args, reporter)
    topics = list(map(partial_topics.select_earlier_images, topics))
    with client.open_fleet(args, reporter) as fleet, Pool(args.workers, fleet) as pool:
        summaries = search.search_topics(topics, proposer, args, pool, reporter)
        result = combine_summaries(summaries)
        result |= {"method": args.method, "threshold": threshold}
        result["unreadable"] = reporter.unreadable
        if args.across or args.against:
            result["across"] = search_across.search_datasets(topics, proposer, args, pool, reporter)
    return result


def combine_summaries(summaries: Sequence["TopicSummary"]) -> dict[str, Any]:
    """Add up what was found in the topics."""
    variants = Counter[str]()
    for summary in summaries:
        variants.update(summary.variants)
    return {
        "images": sum(summary.images for summary in summaries),
        "topics": len(summaries),
        "matches": sum(summary.copy_pairs for summary in summaries),
        "redundant": sum(len(summary.redundant) for summary in summaries),
        "variants": dict(variants),
        "doubtful_untold": sum(summary.unlisted_doubtful for summary in summaries),
        "largest": largest_sets(summaries),
    }


def largest_sets(summaries: Sequence["TopicSummary"]) -> list[dict[str, Any]]:
    """The largest sets of all topics: the topic, the keeper, and the copies that a merge drops.

    The reasons say of each copy why the keeper is kept.
    """
    sets = []
    for summary in summaries:
        for keeper, copies in summary.sets.items():
            reasons = [summary.reasons[copy] for copy in copies]
            sets.append((-len(copies), summary.label, keeper, copies, reasons))
    keys = ("topic", "keeper", "copies", "reasons")
    return [dict(zip(keys, each[1:], strict=True)) for each in sorted(sets)[:MAX_LARGEST_SETS]]


def summary_lines(
    result: Mapping[str, Any], with_variants: bool, with_references: bool
) -> Iterator[str]:
    """The summary for people."""
    yield "🔎 Duplicates"
    yield f"   📁 topics            {result['topics']:>12,}"
    yield f"   🖼  images            {result['images']:>12,}"
    yield f"   🔗 matches           {result['matches']:>12,}"
    yield f"   ✂️  redundant         {result['redundant']:>12,}  a merge would drop them"
    if with_variants:
        yield from variant_lines(result)
    yield f"   ❌ unreadable        {result['unreadable']:>12,}"
    if "across" in result:
        yield kinds_line("🌐 across topics ", result["across"]["pairs"])
        if with_references or result["across"]["references"]:
            yield kinds_line("📌 and references", result["across"]["references"])
    if result["method"] == "clip":
        proposed = f"cosine similarity from {result['threshold']:g}"
    else:
        proposed = f"hashes within {result['threshold']:g} bits"
    yield f"   🧭 method            {result['method']}, {proposed}, then a pixel comparison"
    if result["largest"]:
        yield from ["", "👯 Largest sets"]
    for largest in result["largest"]:
        yield from set_lines(largest)


def variant_lines(result: Mapping[str, Any]) -> Iterator[str]:
    certain = dict(result["variants"])
    doubtful = certain.pop(json_files.DOUBTFUL, 0)
    yield kinds_line("🪞 variants      ", certain)
    count = result["doubtful_untold"]
    unlisted = f"; {count:,} less likely ones are not listed" if count else ""
    yield f"   🤔 doubtful          {doubtful:>12,}  for you to review{unlisted}"


def kinds_line(title: str, pairs: Mapping[str, int]) -> str:
    """A title with the number of pairs, all and of each kind, most frequent first."""
    by_count = sorted(pairs.items(), key=lambda item: -item[1])
    kinds = terminal.list_few([f"{count:,} {kind}" for kind, count in by_count])
    return f"   {title}    {sum(pairs.values()):>12,}  {kinds}".rstrip()


def set_lines(largest: Mapping[str, Any]) -> Iterator[str]:
    topic = terminal.escape(largest["topic"])
    keeper, reason = terminal.escape(largest["keeper"]), terminal.escape(largest["reasons"][0])
    advice = f"keep {keeper}, drop {terminal.list_few(largest['copies'])}"
    for start, text in (("   ", topic), ("      ", advice), ("      why: ", reason)):
        yield start + terminal.truncate_middle(text, terminal.line_columns() - len(start))


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
