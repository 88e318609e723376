"""`.cache/images.json`: what it remembers, and that nothing in it can do harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import zoo
from conftest import ROOT

from common import cache
from common.cache import Provenance
from common.topics import Topic

ODD = os.fsdecode(b"caf\xe9.jpg")


@pytest.fixture
def topic(make_topic) -> Topic:
    folder = make_topic("D/C/S/T", "a.jpg", "b.jpg", ODD)
    return Topic(str(folder), "D", "C", "S", "T", 3)


def test_a_cache_reads_as_it_was_written(topic):
    stamps = topic.image_stamps()
    extents = {name: (stamp, (64, 48)) for name, stamp in stamps.items()}
    scores = Provenance({"model": "tiny", "head": "own", "precision": "fp32"}, stamps)
    duplicates = Provenance({"method": "phash", "threshold": 10}, {"a.jpg": stamps["a.jpg"]})
    cache.update_cache(topic, extents)
    cache.update_cache(topic, scores=scores)
    cache.update_cache(topic, duplicates=duplicates)
    variants = Provenance({"method": "phash", "embedding": "x"}, {"b.jpg": stamps["b.jpg"]})
    cache.update_cache(topic, variants=variants)
    assert cache.load_cache(topic) == cache.Cache(extents, scores, duplicates, variants)
    assert json.loads(Path(cache.images_json_path(topic)).read_text()) == {
        "images": {name: [*stamp, 64, 48] for name, stamp in stamps.items()},
        "scores": {
            "made_by": dict(scores.made_by),
            "images": {n: list(s) for n, s in stamps.items()},
        },
        "duplicates": {
            "made_by": dict(duplicates.made_by),
            "images": {"a.jpg": list(stamps["a.jpg"])},
        },
        "variants": {"made_by": dict(variants.made_by), "images": {"b.jpg": list(stamps["b.jpg"])}},
    }


def test_an_extent_counts_only_while_size_and_time_are_the_same(topic):
    stamps = topic.image_stamps()
    cache.update_cache(topic, {name: (stamp, (64, 48)) for name, stamp in stamps.items()})
    known = cache.load_cache(topic)
    assert known.extent(ODD, stamps[ODD]) == (64, 48)
    size, time = stamps["a.jpg"]
    assert known.extent("a.jpg", (size + 1, time)) is None
    assert known.extent("a.jpg", (size, time + 1)) is None
    assert known.extent("unknown.jpg", (size, time)) is None


def test_images_that_are_gone_are_forgotten_and_new_facts_replace_old_ones(topic):
    cache.update_cache(topic, dict.fromkeys(("a.jpg", "b.jpg", "gone.jpg"), ((1, 1), (5, 5))))
    os.unlink(topic.path_of("b.jpg"))
    cache.update_cache(topic, {"a.jpg": ((2, 2), (6, 6))})
    assert cache.load_cache(topic).extents == {"a.jpg": ((2, 2), (6, 6))}


def test_without_a_cache_there_is_nothing_known(topic):
    assert cache.load_cache(topic, lambda *_: pytest.fail("nothing to set aside")) == cache.Cache()
    assert not os.path.exists(topic.cache_folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b"\xff\xff",
        b'{"images": []}',
        b'{"images": null}',
        b'{"images": {"a.jpg": 5}}',
        b'{"images": {"a.jpg": [1, 2, 3]}}',
        b'{"images": {"a.jpg": [1, 2, null, 4]}}',
        b'{"images": {"a.jpg": [1, 2, "64", "48"]}}',
        b'{"images": {"a.jpg": "abcd"}}',
        b'{"scores": []}',
        b'{"scores": {"made_by": {}}}',
        b'{"scores": {"made_by": 5, "images": {}}}',
        b'{"scores": {"made_by": {}, "images": {"a.jpg": [1]}}}',
        b'{"duplicates": {"images": {}}}',
        b'{"duplicates": "x"}',
        b'{"variants": {"made_by": {}}}',
    ],
)
def test_a_damaged_or_foreign_cache_is_set_aside_and_reads_as_empty(topic, content):
    path = Path(cache.images_json_path(topic))
    path.parent.mkdir()
    path.write_bytes(content)
    said: list[str] = []
    assert cache.load_cache(topic) == cache.Cache()
    assert path.read_bytes() == content
    assert cache.load_cache(topic, said.append) == cache.Cache()
    assert len(said) == 1 and said[0].startswith(f"{path}: damaged (")
    assert path.with_name("images.json.corrupt").read_bytes() == content
    cache.update_cache(topic, {"a.jpg": ((1, 2), (3, 4))})
    assert cache.load_cache(topic).extents == {"a.jpg": ((1, 2), (3, 4))}


@zoo.needs_permissions
def test_a_cache_that_may_not_be_read_is_left_alone(topic):
    cache.update_cache(topic, {"a.jpg": ((1, 2), (3, 4))})
    os.chmod(topic.cache_folder, 0)
    code = (
        "import sys; from common import cache; from common.topics import Topic\n"
        "topic = Topic(sys.argv[1], '', '', '', '', 0)\n"
        "print(cache.load_cache(topic) == cache.Cache())\n"
        "cache.load_cache(topic, print)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, topic.path],
        cwd=ROOT,
        preexec_fn=zoo.drop_privileges,
        capture_output=True,
        text=True,
    )
    os.chmod(topic.cache_folder, 0o755)
    assert ran.stdout == "True\n", ran.stderr
    assert (
        f"UserError: {cache.images_json_path(topic)}: cannot be read (Permission denied); "
        "check its permissions" in ran.stderr
    )
    assert cache.load_cache(topic).extents == {"a.jpg": ((1, 2), (3, 4))}


def test_what_is_known_already_is_not_written_again(topic):
    cache.update_cache(topic, {"a.jpg": ((1, 2), (3, 4))})
    os.utime(cache.images_json_path(topic), ns=(1, 1))
    cache.update_cache(topic, {"a.jpg": ((1, 2), (3, 4))})
    assert os.stat(cache.images_json_path(topic)).st_mtime_ns == 1
