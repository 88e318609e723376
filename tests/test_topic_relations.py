"""A topic's copies and variants, checked against its folder, with a person's decisions applied."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from result_files import write_copies, write_variants

from common import cache, json_files, tree
from common.json_files import ACTIONABLE_KINDS, COPY, DOUBTFUL
from common.topics import Topic
from keeping import kind_names, pair_records
from keeping.topic_relations import Staleness, TopicRelations, read_topic_relations


def topic_of(folder: Path) -> Topic:
    return tree.find_topics([str(folder)], print)[0]


def read(topic: Topic, cached: cache.Cache | None = None) -> TopicRelations:
    return read_topic_relations(topic, topic.image_stamps(), cached or cache.load_cache(topic))


def lists(staleness: Staleness | None) -> tuple[list[str], list[str], list[str]]:
    assert staleness is not None
    return staleness.unknown, staleness.changed, staleness.gone


def test_copies_are_checked_against_the_folder(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "c.png", "d.png"))
    names = ["a.png", "b.png", "c.png", "gone.png"]
    write_copies(topic, {name: set(names) - {name} for name in names})
    stamps = topic.image_stamps()
    seen = {**{name: stamps.get(name, (1, 1)) for name in names}, "b.png": (7, 7)}
    cache.update_cache(topic, duplicates=cache.Provenance({}, seen))
    relations = read(topic)
    assert lists(relations.copies_staleness) == (["d.png"], ["b.png"], ["gone.png"])
    assert relations.copies == {"a.png": {"c.png"}, "c.png": {"a.png"}}
    [stale] = relations.stale_files()
    assert stale.path == json_files.duplicates_path(topic)
    assert stale.message == (
        "no longer fits its folder (run find_duplicates.py again): "
        "1 not in it (d.png); 1 changed since (b.png); 1 gone (gone.png)"
    )


def test_variants_are_checked_against_the_folder(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "c.png", "d.png", "e.png"))
    assert read(topic).variants is None and read(topic).stale_files() == []
    write_variants(
        topic, {"a.png": {"b.png": "turned", "c.png": "doubtful", "gone.png": "cropped"}}
    )
    seen = {**topic.image_stamps(), "b.png": (7, 7), "gone.png": (1, 1)}
    del seen["d.png"]
    cache.update_cache(topic, variants=cache.Provenance({}, seen))
    relations = read(topic)
    assert lists(relations.variants_staleness) == (["d.png"], ["b.png"], ["gone.png"])
    assert relations.variants == {"a.png": {"c.png": "doubtful"}, "c.png": {"a.png": "doubtful"}}
    [stale] = relations.stale_files()
    assert stale.message.startswith(
        "no longer fits its folder (run find_duplicates.py --variants again): 1 not in it"
    )
    without_cache = read(topic, cache.Cache())  # images on disk count as the search saw them
    assert lists(without_cache.variants_staleness) == ([], [], ["gone.png"])


def test_a_provenance_holds_for_its_file_alone(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "new.png"))
    seen = {"a.png": topic.image_stamps()["a.png"], "b.png": (7, 7)}
    both = {"a.png": {"b.png"}, "b.png": {"a.png"}, "new.png": set()}
    made = cache.Provenance({}, seen)
    kinds = kind_names.variants_content({"a.png": {"b.png": "turned", "new.png": "turned"}})
    cache.write_with_provenance(
        topic, {"variants": (kinds, made), "duplicates": (json_files.copies_content(both), made)}
    )
    relations = read(topic)
    for staleness in (relations.copies_staleness, relations.variants_staleness):
        assert lists(staleness)[:2] == (["new.png"], ["b.png"])  # as the provenance has it
    # Files of another program: images that are not younger count as unchanged.
    write_copies(topic, {**both, "gone.png": set()})
    write_variants(topic, {"a.png": {"b.png": "cropped", "new.png": "turned"}})
    os.utime(topic.path_of("new.png"), (2**32, 2**32))
    relations = read(topic)
    for staleness in (relations.copies_staleness, relations.variants_staleness):
        assert lists(staleness)[:2] == ([], ["new.png"])


def test_a_topic_is_not_confused_with_one_whose_name_begins_like_it(make_topic) -> None:
    short = topic_of(make_topic("DataSet/C/S/a", "x.png", "y.png"))
    long = topic_of(make_topic("DataSet/C/S/a_b", "x.png", "y.png"))
    write_copies(long, {"x.png": {"y.png"}, "y.png": {"x.png"}})
    assert read(short, cache.Cache()).copies is None
    relations = read(long, cache.Cache())
    assert relations.stale_files() == []
    assert relations.copies == {"x.png": {"y.png"}, "y.png": {"x.png"}}


def test_copies_and_variants_are_joined_and_only_the_kinds_asked_for_count(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "c.png", "d.png"))
    write_copies(topic, {"a.png": {"b.png"}, "c.png": set(), "d.png": set()})
    write_variants(topic, {"a.png": {"b.png": "cropped", "c.png": "turned", "d.png": "doubtful"}})
    relations = read(topic, cache.Cache())
    assert relations.kinds({COPY, "turned"}) == {
        "a.png": {"b.png": "copy", "c.png": "turned"},
        "b.png": {"a.png": "copy"},
        "c.png": {"a.png": "turned"},
    }
    assert relations.kinds({DOUBTFUL}) == {
        "a.png": {"d.png": "doubtful"},
        "d.png": {"a.png": "doubtful"},
    }
    assert relations.kinds(set()) == {}
    only_variants = read_topic_relations(topic, topic.image_stamps(), cache.Cache(), copies=False)
    assert only_variants.copies is None
    assert only_variants.kinds({COPY, *ACTIONABLE_KINDS})["a.png"]["b.png"] == "cropped"
    only_copies = read_topic_relations(topic, topic.image_stamps(), cache.Cache(), variants=False)
    assert only_copies.variants is None and only_copies.copies == relations.copies


def test_decisions_overrule_what_the_files_say(make_topic, tmp_path) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "c.png", "d.png"))
    decided = {
        "different": [["C/S/T/a.png", "C/S/T/b.png"], ["C/S/T/a.png", "C/S/T/c.png"]],
        "same": [["C/S/T/c.png", "C/S/T/d.png"]],
    }
    (tmp_path / "DataSet/decisions.json").write_text(json.dumps(decided))
    assert read(topic).copies is None  # decisions alone are not a search
    write_copies(topic, {"a.png": {"b.png"}, "c.png": set(), "d.png": set()})
    write_variants(topic, {"a.png": {"c.png": "turned", "d.png": "turned"}})
    relations = read(topic, cache.Cache())
    assert relations.kinds({COPY, "turned"}) == {
        "a.png": {"d.png": "turned"},
        "c.png": {"d.png": "copy"},
        "d.png": {"a.png": "turned", "c.png": "copy"},
    }


@pytest.mark.parametrize("content", ["", "[]", '{"a.png": {"b.png": 1}}', '{"a.png": []}'])
def test_damaged_figures_of_pairs_count_as_none(make_topic, content) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png"))
    assert pair_records.read_pair_likeness(topic) == {}
    Path(cache.make_cache_folder(topic), "pairs.json").write_text(content)
    assert pair_records.read_pair_likeness(topic) == {}


def test_figures_of_pairs_are_read_in_both_orders(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png"))
    figures = {"a.png": {"b.png": ["copy", 0.98], "c.png": ["turned", 1.5]}}
    Path(cache.make_cache_folder(topic), "pairs.json").write_text(json.dumps(figures))
    a, b = topic.path_of("a.png"), topic.path_of("b.png")
    assert pair_records.read_pair_likeness(topic) == {(a, b): 0.98, (b, a): 0.98}
