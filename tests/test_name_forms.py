"""Names that differ in Unicode form alone: the exact spelling counts first."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from conftest import draw_image

from common import name_forms
from sidecars import stem_groups

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Café-が") for form in ("NFC", "NFD"))
FORMS = [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)]
OWLS = "Animals/Birds/Owls"
TINY = ("--model", "tiny", "--workers", 0)


@pytest.fixture
def run(run_by_name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if os.path.exists(make_image(tmp_path / f"{COMPOSED}.png").with_name(f"{DECOMPOSED}.png")):
        pytest.skip("this file system takes both forms for one name")

    return run_by_name


def make_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_image(seed).save(path)
    return path


@pytest.mark.parametrize(
    ("names", "present", "matches"),
    [
        ({COMPOSED}, {DECOMPOSED}, {COMPOSED: DECOMPOSED}),
        ({COMPOSED}, {COMPOSED, DECOMPOSED}, {}),  # it has an exact partner
        ({COMPOSED, DECOMPOSED}, {DECOMPOSED}, {}),  # the other one has
        ({"が\u0301\u0323"}, {"が\u0323\u0301", "か\u3099\u0323\u0301"}, {}),  # two partners
        ({"plain"}, {"Plain"}, {}),
        ({"\udce9a"}, {"\udce9b"}, {}),
    ],
)
def test_only_names_without_an_exact_partner_are_matched(names, present, matches):
    assert name_forms.match_forms(names, present) == matches


@pytest.mark.parametrize(("now", "recorded"), FORMS)
def test_scores_recorded_in_the_other_form_are_those_of_the_image(run, tmp_path, now, recorded):
    image = make_image(tmp_path / "DS" / OWLS / f"{recorded}.png")
    run("aesthetic_scorer", "DS", *TINY)
    image.rename(image.with_name(f"{now}.png"))
    assert run("aesthetic_scorer", "DS", *TINY)[0]["scored"] == 0
    stats, _ = run("aesthetic_stats", "DS")
    assert stats["overall"]["images"] == 1 and next(iter(stats["made_by"])).startswith("tiny")
    run("merge_clusters", "DS", "--output", "full")
    assert list(json.loads(Path(f"full/{OWLS}/aesthetic_data.json").read_text())) == [f"{now}.png"]
    assert "gone" not in run("split_data", "DS")[1]
    assert json.loads(Path("train_set.json").read_text())[0].endswith(f"{now}.png")


def test_scores_of_two_images_that_differ_in_form_stay_apart(run, tmp_path):
    topic = tmp_path / "DS" / OWLS
    for number, name in enumerate((COMPOSED, DECOMPOSED)):
        make_image(topic / f"{name}.png", number)
    scores = {f"{COMPOSED}.png": 5.0, f"{DECOMPOSED}.png": 6.0}
    (topic / "aesthetic_data.json").write_text(json.dumps(scores))
    run("split_data", "DS", "--train", 1, "--valid", 1)
    assert json.loads(Path("train_set.json").read_text())[0].endswith(f"{DECOMPOSED}.png")
    merged, _ = run("merge_clusters", "DS", "--output", "full")
    assert merged["copied"] == 2 and merged["renamed"] == 1


@pytest.mark.parametrize(("image", "caption"), FORMS)
def test_captions_in_the_other_form_belong_to_the_image(run, tmp_path, image, caption):
    topic = make_image(tmp_path / "DS" / OWLS / f"{image}.png").parent
    (topic / f"{caption}.txt").write_text("an owl")
    (topic / f"{caption}.png.json").write_text("{}")
    (topic / "aesthetic_data.json").write_text(json.dumps({f"{image}.png": 5.0}))
    checks = run("dataset_stats", "DS")[0]["for_trainers"]
    assert not checks["without_caption"]["count"] and not checks["caption_without_image"]["count"]
    merged, _ = run("merge_clusters", "DS", "--output", "full")
    assert merged["sidecars"] == 2 and merged["left_behind"] == []
    assert Path(f"full/{OWLS}/{image}.txt").read_text() == "an owl"
    assert Path(f"full/{OWLS}/{image}.png.json").exists()
    assert run("merge_clusters", "DS", "--output", "full")[0]["sidecars"] == 0
    exported, _ = run("split_data", "DS", "--export", "ready")
    assert exported["export"]["captions"] == 1
    assert Path(f"ready/train/{OWLS}/{image}.txt").read_text() == "an owl"


def test_captions_in_the_exact_form_count_first(run):
    images = [f"{COMPOSED}.png", f"{DECOMPOSED}.png"]
    third = unicodedata.normalize("NFD", "Café") + "-が"
    captions = [f"{COMPOSED}.txt", f"{DECOMPOSED}.txt", f"{third}.json"]
    groups, unmatched = stem_groups.group_by_stem(images, captions)
    assert [(group.stem, group.sidecars) for group in groups] == [
        (COMPOSED, [".txt"]),
        (DECOMPOSED, [".txt"]),
    ]
    assert unmatched == [f"{third}.json"]  # it could belong to either
    (group,), unmatched = stem_groups.group_by_stem(images[:1], captions[:2])
    assert (group.sidecars, unmatched) == ([".txt"], captions[1:2])


@pytest.mark.parametrize(("now", "decided"), FORMS)
def test_decisions_in_the_other_form_are_about_the_image(run, tmp_path, now, decided):
    for number, name in enumerate((f"{now}.png", "b.png", "c.png")):
        make_image(tmp_path / "DS/Animals/Birds" / now / name, number)
    place = f"Animals/Birds/{decided}"
    content = {"drop": [f"{place}/{decided}.png"], "keep": [f"{place}/b.png"]}
    Path("saved.json").write_text(json.dumps(content))
    _, talk = run("find_duplicates", "DS", "--decisions", "saved.json", "--workers", 0)
    assert "2 decisions added: 1 keep, 1 drop" in talk
    merged, talk = run("merge_clusters", "DS", "--output", "full")
    assert (merged["copied"], merged["dropped"]) == (2, 1) and "gone" not in talk
    Path("DS/decisions.json").write_text(json.dumps(content))
    assert run("merge_clusters", "DS", "--output", "again")[0]["dropped"] == 1


@pytest.mark.parametrize(("first", "second"), FORMS)
def test_topics_of_two_datasets_join_and_those_of_one_stay_two(run, tmp_path, first, second):
    make_image(tmp_path / f"A/Animals/{first}/Owls/a.png", 1)
    make_image(tmp_path / f"B/Animals/{second}/Owls/b.png", 2)
    assert run("merge_clusters", "A", "B", "--output", "full")[0]["topics"] == 1
    assert sorted(os.listdir(f"full/Animals/{first}/Owls"))[-2:] == ["a.png", "b.png"]
    run("merge_clusters", "B", "--output", "later")
    run("merge_clusters", "A", "B", "--output", "later")
    assert os.listdir("later/Animals") == [second]
    assert run("merge_clusters", "A", "B", "--output", "later")[0]["copied"] == 0
    make_image(tmp_path / f"A/Animals/{second}/Owls/c.png", 3)
    assert run("merge_clusters", "A", "B", "--output", "apart")[0]["topics"] == 2
    assert sorted(os.listdir(f"apart/Animals/{second}/Owls"))[-2:] == ["b.png", "c.png"]
