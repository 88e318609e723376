#!/usr/bin/env python3
"""Ours beside the published: downloads models, heads and the pictures whose scores were published,
and compares.

Scores are those of aesthetic_scorer.py itself. Each line shows a picture, its published score,
ours, and how far they may lie apart; then the same pictures on every device and precision that
there is. The whole downloads 6.4 GB once.

exit status: 0 all agree; 1 one is off; 2 none is off, but something could not be run: the line says
what and why

examples:
  benchmarks/known_answers.py
  benchmarks/known_answers.py --head siglip-v2.5 laion-v2
  benchmarks/known_answers.py --answers mine.json   [{"head": ..., "model": ..., "picture": ...,
  "score": ...,
                                                      "within": ...}], heads, models and addresses
                                                      of any kind
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aesthetic_scorer
from common import cli
from common.clip import heads, scorers

CAT = "https://thumbs.dreamstime.com/b/lovely-cat-as-domestic-animal-view-pictures-182393057.jpg"
SIMPLE = "https://github.com/shunk031/simple-aesthetics-predictor"
ASTRONAUT = f"{SIMPLE}/raw/main/assets/a-photo-of-an-astronaut-riding-a-horse.png"
SAMPLES = "https://github.com/discus0434/aesthetic-predictor-v2-5/raw/4d5f1baff39313b84e7fbe7b59fbd705e98bae8e/assets/samples/sample{}.jpg"
RATINGS = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/vit_{}_embeddings/rating{}.npy"
WITHIN = 0.02  # other decoders and image libraries differ by a grey level here and there
WITHIN_BF16 = 0.05  # v2.5's scores were published from bf16, with two decimals
WITHIN_PRECISIONS = {
    "fp32": 0.005,
    "bf16": 0.05,
    "fp16": 0.02,
}  # beside fp32 on the CPU; heads of a norm near 28
RISING = {  # LAION's heads on LAION's ten text embeddings, "rating 0" to "rating 9", in float64
    "l_14": (-2.4579, -0.1379, 1.8951, 3.5849, 5.0997, 6.4701, 7.7870, 9.0480, 10.2264, 11.3044),
    "b_32": (-1.4700, 0.2728, 1.9900, 3.6114, 5.0874, 6.3926, 7.6682, 8.9155, 9.9166, 11.0056),
}


@dataclass(frozen=True)
class Answer:
    """A published score of a picture."""

    head: str
    model: str
    picture: str
    score: float
    within: float


ANSWERS = (
    Answer(
        "laion-v1", "ViT-L-14-quickgelu", CAT, 5.0491, WITHIN
    ),  # in the tests of SIMPLE, as the next four
    Answer("laion-v1", "ViT-B-32-quickgelu", CAT, 4.4723, WITHIN),
    Answer("laion-v1", "ViT-B-16-quickgelu", CAT, 4.3533, WITHIN),
    Answer("laion-v2", "ViT-L-14-quickgelu", ASTRONAUT, 5.7546, WITHIN),
    Answer("laion-v2-ava", "ViT-L-14-quickgelu", ASTRONAUT, 5.6563, WITHIN),
    Answer(
        "siglip-v2.5", "siglip-v2.5", SAMPLES.format(1), 4.22, WITHIN_BF16
    ),  # in assets/example.png of its
    Answer(
        "siglip-v2.5", "siglip-v2.5", SAMPLES.format(2), 3.91, WITHIN_BF16
    ),  # repository; which score belongs to
    Answer(
        "siglip-v2.5", "siglip-v2.5", SAMPLES.format(3), 2.58, WITHIN_BF16
    ),  # which picture was told by their
    Answer("siglip-v2.5", "siglip-v2.5", SAMPLES.format(4), 6.78, WITHIN_BF16),  # aspect ratios
)


class NotRun(Exception):
    """A part that could not be run, and why."""


def main() -> int:
    args = parse_args()
    answers = (
        tuple(Answer(**row) for row in json.loads(args.answers.read_text()))
        if args.answers
        else ANSWERS
    )
    wanted = [
        answer
        for answer in answers
        if args.answers or answer.head in (args.head or scorers.scorer_names())
    ]
    off = skipped = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, ((head, model), rows) in enumerate(
            groupby(wanted, key=lambda row: (row.head, row.model))
        ):
            print(f"{head} on {model}")
            try:
                off += compared(list(rows), Path(folder) / str(number))
            except NotRun as error:
                skipped += 1
                print(f"   not run: {error}")
        for name in [] if args.answers or (args.head and "laion-v1" not in args.head) else RISING:
            print(f"laion-v1 on LAION's ratings, {name}")
            try:
                off += rising(name, Path(folder))
            except NotRun as error:
                skipped += 1
                print(f"   not run: {error}")
    print(f"{off} off, {skipped} not run" if off or skipped else "all agree")
    return 1 if off else 2 if skipped else 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--head", nargs="+", choices=scorers.scorer_names(), help="only these (default: all)"
    )
    parser.add_argument("--answers", type=Path, metavar="FILE", help="other answers, as JSON")
    return parser.parse_args()


def compared(rows: list[Answer], folder: Path) -> int:
    """Score the pictures of one head and model; how many answers are off. Raises NotRun."""
    topic = folder / "Cluster" / "Subcluster" / "Topic"
    topic.mkdir(parents=True)
    for number, row in enumerate(rows):
        fetch(row.picture, topic / named(number, row))
    scores = scored(folder, rows[0], "cpu", "fp32")
    off = 0
    for number, row in enumerate(rows):
        off += line(
            row.picture.rpartition("/")[2], row.score, scores[named(number, row)], row.within
        )
    for device, precision in runs():
        other = scored(folder, rows[0], device, precision)
        worst = max(scores, key=lambda name: abs(scores[name] - other[name]))
        off += line(
            f"{device} {precision}", scores[worst], other[worst], WITHIN_PRECISIONS[precision]
        )
    return off


def named(number: int, row: Answer) -> str:
    return f"{number}{os.path.splitext(row.picture)[1]}"


def runs() -> list[tuple[str, str]]:
    """Devices and precisions to hold against fp32 on the CPU."""
    import torch

    found = [("cpu", "bf16")]
    if torch.cuda.is_available():
        return [*found, *(("cuda", precision) for precision in WITHIN_PRECISIONS)]
    print("   not run: CUDA (there is none here)")
    return found


def scored(folder: Path, row: Answer, device: str, precision: str) -> dict[str, float]:
    """What aesthetic_scorer.py writes for the pictures. Raises NotRun with what it said."""
    for path in folder.rglob("aesthetic_data.json"):
        path.unlink()  # or scores of another precision would stand
    options = [
        "--head",
        row.head,
        "--model",
        row.model,
        "--device",
        device,
        "--precision",
        precision,
    ]
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        status = cli.run_script(
            aesthetic_scorer.main, [str(folder), *options, "--no-cache", "--workers", "0"]
        )
    if status:
        raise NotRun(said.getvalue().strip().splitlines()[-1])
    return json.loads(next(folder.rglob("aesthetic_data.json")).read_text())


def rising(name: str, folder: Path) -> int:
    """Hold a head against the ten embeddings that LAION published. Raises NotRun."""
    import numpy as np

    from common.errors import UserError

    row = next(row for row in scorers.find_scorers("laion-v1") if f"_{name}_" in row.file)
    choice = heads.HeadChoice(
        row.head, str(folder / os.path.basename(row.file)), row.address, row.digest
    )
    vectors = []
    for number in range(10):
        path = folder / f"{name}{number}.npy"
        fetch(RATINGS.format(name, number), path)
        vectors.append(np.load(path).reshape(-1))
    try:
        found = heads.load_head(choice)(np.stack(vectors))
    except UserError as error:
        raise NotRun(str(error)) from None
    return sum(line(f"rating {n}", RISING[name][n], score, 0.001) for n, score in enumerate(found))


def line(what: str, published: float, ours: float, within: float) -> bool:
    """Print one comparison; whether it is off."""
    off = not abs(ours - published) <= within  # NaN is off
    print(f"   {what:<60} {published:8.4f} {ours:8.4f}  within {within:g}{'  OFF' if off else ''}")
    return off


def fetch(address: str, path: Path) -> None:
    """Raises NotRun."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            path.write_bytes(answer.read())
    except (OSError, HTTPException) as error:
        raise NotRun(f"{address}: {error}") from None


if __name__ == "__main__":
    raise SystemExit(main())
