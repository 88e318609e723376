"""Large sets of equal images: a star in the file, and yet every pair of them counts as copies."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import draw_image
from hypothesis import given
from hypothesis import strategies as st

import duplicates_stats
import find_duplicates
import merge_clusters
import split_data
from common import tree
from common.clip.sidecar import load_sidecar
from common.json_files import COPY
from common.topics import Topic
from duplicates import verification
from keeping import keepers, topic_relations
from keeping.equal_images import EqualSets
from keeping.keeper_order import Candidate

COUNT = 40
EQUAL_NAMES = [f"p{number:02}.jpg" for number in range(COUNT)]
CENTRE, MIDDLE, LAST = EQUAL_NAMES[0], EQUAL_NAMES[20], EQUAL_NAMES[-1]

opened: list[str] = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)


def jpeg(comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    draw_image(1, (320, 240)).save(file, "JPEG", comment=comment)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A topic of equal files, and of one other image."""
    folder = tmp_path / "DS/C/S/T"
    folder.mkdir(parents=True)
    for name in EQUAL_NAMES:
        (folder / name).write_bytes(jpeg())
    draw_image(2).save(folder / "other.png")
    return folder


def dataset_of(folder: Path) -> Path:
    return folder.parents[2]


def search(folder: Path, capsys, *options: object) -> dict:
    return run(find_duplicates, folder, capsys, "--workers", 0, *options)


def run(script, folder: Path, capsys, *options: object) -> dict:
    opened.clear()
    capsys.readouterr()
    args = [str(dataset_of(folder)), *map(str, options), "--json", "--quiet"]
    assert script.main(args) == 0
    return json.loads(capsys.readouterr().out)


def images_opened() -> list[str]:
    return [os.path.basename(path) for path in opened if path.endswith((".jpg", ".png"))]


def listed(folder: Path) -> dict[str, list[str]]:
    return json.loads((folder.parent / "duplicates_T.json").read_text())


def decide(folder: Path, **decided: object) -> None:
    def path_of(name: str) -> str:
        return f"C/S/T/{name}"

    content = {"keep": list(map(path_of, decided.get("keep", [])))}
    content["different"] = [sorted(map(path_of, pair)) for pair in decided.get("different", [])]
    (dataset_of(folder) / "decisions.json").write_text(json.dumps(content))


def merged(folder: Path, capsys) -> set[str]:
    """Merge into a new folder; return the images that came along."""
    target = folder.parents[3] / "merged"
    shutil.rmtree(target, ignore_errors=True)
    run(merge_clusters, folder, capsys, "--output", target)
    return {path.name for path in (target / "C/S/T").iterdir() if not path.name.startswith(".")}


def chosen(folder: Path, capsys) -> set[str]:
    """Split without duplicates; return the images that were chosen."""
    names = [name for name in os.listdir(folder) if name.endswith(("jpg", "png"))]
    (folder / "aesthetic_data.json").write_text(json.dumps(dict.fromkeys(names, 5.0)))
    out = folder.parents[3]
    run(split_data, folder, capsys, "--exclude-duplicates", "--output-dir", out)
    (folder / "aesthetic_data.json").unlink()
    paths = []
    for name in ("train_set.json", "valid_set.json"):
        paths += json.loads((out / name).read_text())
    return set(map(os.path.basename, paths))


def redundant(folder: Path, capsys) -> int:
    return run(duplicates_stats, folder, capsys)["redundant_images"]


def kept_by_file_alone(folder: Path, *keep: str) -> set[str]:
    """What a reader keeps that knows the listed pairs only, and ranks by decision and name."""
    matches = listed(folder)
    kept = set(keep)
    for name in sorted(matches):
        if (folder / name).exists() and name not in keep and kept.isdisjoint(matches[name]):
            kept.add(name)
    return kept


def test_a_large_set_is_a_star_in_the_file_and_all_its_pairs_count(folder, capsys) -> None:
    result = search(folder, capsys)
    star = {CENTRE: EQUAL_NAMES[1:], **{name: [CENTRE] for name in EQUAL_NAMES[1:]}}
    assert listed(folder) == {**star, "other.png": []}
    assert result["matches"] == COUNT * (COUNT - 1) // 2
    assert result["redundant"] == COUNT - 1 == redundant(folder, capsys)
    assert merged(folder, capsys) == chosen(folder, capsys) == {CENTRE, "other.png"}
    stats = run(duplicates_stats, folder, capsys)
    assert stats["duplicate_entries"] == COUNT


def test_thirty_equal_images_are_listed_pair_by_pair(folder, capsys) -> None:
    for name in EQUAL_NAMES[30:]:
        (folder / name).unlink()
    search(folder, capsys)
    assert listed(folder)[MIDDLE] == [name for name in EQUAL_NAMES[:30] if name != MIDDLE]


def test_equal_files_are_decoded_once_and_never_compared(folder, capsys) -> None:
    search(folder, capsys)
    counts = {name: images_opened().count(name) for name in EQUAL_NAMES}
    assert max(counts.values()) == counts[CENTRE]
    assert {counts[name] for name in EQUAL_NAMES[1:]} == {1}  # for its digest
    topic = topic_of(folder)
    about = {"rules": topic_relations.RULES_VERSION, "kinds": verification.KIND_CODES}
    verdicts = load_sidecar(topic, "looked", verification.VERDICT_LAYOUT, about, print)
    assert not verdicts.valid_rows({f"{CENTRE}/{name}": (0, 0) for name in EQUAL_NAMES})
    assert len(verdicts._names) == 0
    (folder / "new.jpg").write_bytes(jpeg())
    search(folder, capsys)
    assert set(images_opened()) == {"new.jpg"}  # it gets the row of the others
    assert listed(folder)["new.jpg"] == sorted(EQUAL_NAMES)


def topic_of(folder: Path) -> Topic:
    return tree.find_topics([str(folder)], print)[0]


@pytest.mark.parametrize("keep", [CENTRE, MIDDLE, LAST])
@pytest.mark.parametrize("has_cache", [True, False])
def test_the_image_that_a_person_keeps_replaces_all_others(
    folder, capsys, keep: str, has_cache: bool
) -> None:
    search(folder, capsys)
    if not has_cache:
        shutil.rmtree(folder / ".cache")
    decide(folder, keep=[keep])
    assert redundant(folder, capsys) == COUNT - 1
    assert merged(folder, capsys) == {keep, "other.png"}
    assert kept_by_file_alone(folder, keep) >= {keep, "other.png"}


@pytest.mark.parametrize("has_cache", [True, False])
def test_the_set_outlives_its_first_image(folder, capsys, has_cache: bool) -> None:
    search(folder, capsys)
    (folder / CENTRE).unlink()
    if not has_cache:
        shutil.rmtree(folder / ".cache")
    assert redundant(folder, capsys) == COUNT - 2
    assert merged(folder, capsys) == chosen(folder, capsys) == {EQUAL_NAMES[1], "other.png"}
    assert kept_by_file_alone(folder) > {EQUAL_NAMES[1]}


def test_a_match_of_one_image_is_a_match_of_its_whole_set(folder, capsys) -> None:
    draw_image(1, (640, 480)).save(folder / "larger.jpg")
    search(folder, capsys)
    assert listed(folder)["larger.jpg"] == [CENTRE]
    assert merged(folder, capsys) == {"larger.jpg", "other.png"}
    decide(folder, different=[("larger.jpg", CENTRE)])
    assert merged(folder, capsys) == {"larger.jpg", CENTRE, "other.png"}
    search(folder, capsys)
    assert listed(folder)["larger.jpg"] == [EQUAL_NAMES[1]]
    assert merged(folder, capsys) == {"larger.jpg", CENTRE, "other.png"}
    decide(folder)
    (folder / CENTRE).unlink()
    assert merged(folder, capsys) == {"larger.jpg", "other.png"}


@pytest.mark.parametrize("pair", [(CENTRE, LAST), (MIDDLE, LAST)])
def test_a_pair_that_a_person_called_different_stays(folder, capsys, pair) -> None:
    search(folder, capsys)
    for _ in range(2):  # a search after the decision knows it too
        decide(folder, different=[pair], keep=[pair[0]])
        assert merged(folder, capsys) == {*pair, "other.png"}
        assert chosen(folder, capsys) == {*pair, "other.png"}
        assert redundant(folder, capsys) == COUNT - 2
        result = search(folder, capsys)
        assert result["matches"] == COUNT * (COUNT - 1) // 2 - 1


def test_a_changed_image_leaves_its_set(folder, capsys) -> None:
    search(folder, capsys)
    draw_image(3).save(folder / MIDDLE)
    draw_image(4).save(folder / CENTRE)
    assert redundant(folder, capsys) == COUNT - 3
    assert merged(folder, capsys) == {CENTRE, MIDDLE, EQUAL_NAMES[1], "other.png"}


def test_what_cannot_be_proved_equal_stays(folder, capsys) -> None:
    search(folder, capsys)
    shutil.rmtree(folder / ".cache")
    (folder / MIDDLE).write_bytes(jpeg()[:-3] + b"xyz")
    os.utime(folder / MIDDLE, ns=(1, 1))  # older than the search: nothing says that it changed
    decide(folder, keep=[LAST])
    assert merged(folder, capsys) == {LAST, MIDDLE, "other.png"}


def test_files_of_other_bytes_and_the_same_pixels_are_equal(folder, capsys) -> None:
    for number, name in enumerate(EQUAL_NAMES):
        (folder / name).write_bytes(jpeg(b"number %04d" % number))
    search(folder, capsys)
    assert listed(folder)[MIDDLE] == [CENTRE]
    decide(folder, keep=[LAST])
    assert merged(folder, capsys) == {LAST, "other.png"}
    (folder / "new.jpg").write_bytes(jpeg(b"another number"))
    search(folder, capsys)
    assert set(images_opened()) == {"new.jpg"}  # the pixels of the others are known
    assert listed(folder)["new.jpg"] == EQUAL_NAMES


def test_images_that_differ_in_transparency_alone_are_no_set(folder, capsys) -> None:
    for number, name in enumerate(EQUAL_NAMES):
        image = draw_image(1, (320, 240)).convert("RGBA")
        image.putpixel((number, 0), (255, 255, 255, 255))
        image.putalpha(number + 200)
        image.save(folder / f"{name}.png")
        (folder / name).unlink()
    search(folder, capsys)
    cached = json.loads((folder / ".cache/images.json").read_text())
    assert cached["duplicates"]["equal"] == {}


def test_variants_of_a_set_are_listed_for_one_of_its_images(folder, capsys) -> None:
    mirrored = draw_image(1, (320, 240)).transpose(0)
    mirrored.save(folder / "mirrored.png")
    search(folder, capsys, "--variants")
    variants = json.loads((folder.parent / "variants_T.json").read_text())
    assert variants == {CENTRE: {"mirrored.png": "mirrored"}, "mirrored.png": {CENTRE: "mirrored"}}
    (folder / CENTRE).unlink()
    decide(folder, keep=[LAST])
    names = [*EQUAL_NAMES[1:], "other.png", "mirrored.png"]
    (folder / "aesthetic_data.json").write_text(json.dumps(dict.fromkeys(names, 5.0)))
    out = folder.parents[3]
    options = ("--train", 1, "--valid", 1, "--exclude-duplicates", "--output-dir", out)
    run(split_data, folder, capsys, *options)
    sets = [json.loads((out / name).read_text()) for name in ("train_set.json", "valid_set.json")]
    together = {os.path.basename(path) for paths in sets for path in paths}
    assert together in ({LAST, "other.png"}, {"mirrored.png", "other.png"})


def test_a_split_with_duplicates_finds_the_leaks_between_equal_images(folder, capsys) -> None:
    search(folder, capsys)
    (folder / "aesthetic_data.json").write_text(json.dumps(dict.fromkeys(EQUAL_NAMES, 5.0)))
    out = folder.parents[3]
    options = ("--train", 3, "--valid", 2, "--output-dir", out)
    leaks = run(split_data, folder, capsys, *options)["leaks"]
    assert len(leaks) == 6 and {leak["kind"] for leak in leaks} == {COPY}


names_of_images = "abcdefgh"


@given(
    digests=st.dictionaries(st.sampled_from(names_of_images), st.sampled_from("12"), max_size=8),
    edges=st.sets(st.tuples(*[st.sampled_from(names_of_images)] * 2), max_size=6),
    different=st.sets(st.tuples(*[st.sampled_from(names_of_images)] * 2), max_size=4),
    keep=st.sets(st.sampled_from(names_of_images), max_size=2),
    order=st.permutations(names_of_images),
    share_matches=st.booleans(),
)
def test_the_walk_over_stars_is_the_walk_over_all_pairs(
    digests, edges, different, keep, order, share_matches
) -> None:
    edges = {tuple(sorted(pair)) for pair in edges if pair[0] != pair[1]}
    different = {tuple(sorted(pair)) for pair in different if pair[0] != pair[1]}

    def node(name: str) -> str:
        return digests.get(name, name)

    pairs = set()
    joined = {frozenset(map(node, edge)) for edge in edges}
    for pair in itertools.combinations(names_of_images, 2):
        is_listed = frozenset(map(node, pair)) in joined if share_matches else pair in edges
        is_match = node(pair[0]) == node(pair[1]) or is_listed
        if is_match and pair not in different:
            pairs.add(pair)
    equals = EqualSets(digests, names_of_images, different, share_matches)
    listed_kinds: dict[str, dict[str, str]] = {}
    for one, other in edges:
        listed_kinds.setdefault(one, {})[other] = COPY
        listed_kinds.setdefault(other, {})[one] = COPY
    linked = equals.link(listed_kinds, with_stars=True)
    candidates = []
    for place, name in enumerate(order):
        candidates.append(Candidate(name, 100 - place, 1, None, name in keep))
    for one, other in different:
        linked.get(one, {}).pop(other, None)
        linked.get(other, {}).pop(one, None)
    found = keepers.select_redundant(candidates, linked, equals=equals)
    assert found.keepers == walk_all_pairs([*order], keep, pairs)
    if share_matches:
        copies = {name: set(others) for name, others in linked.items()}
        assert equals.count_pairs(copies) == len(pairs)


def walk_all_pairs(order: list[str], keep: set[str], pairs: set[tuple[str, str]]) -> dict[str, str]:
    order = [name for name in order if name in keep] + [n for n in order if n not in keep]
    kept: list[str] = []
    dropped = {}
    for name in order:
        keeper = next((k for k in kept if tuple(sorted((k, name))) in pairs), None)
        if keeper and name not in keep:
            dropped[name] = keeper
        else:
            kept.append(name)
    return dropped
