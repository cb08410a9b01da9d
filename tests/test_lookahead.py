"""The study of how far ahead a loss looks measures what it says, and adds to what is stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from studies import judged, lookahead
from studies.lookahead_arms import ARMS, JOBS, SEEDS, TEACHER, TIERS, jobs, needs_teacher
from studies.plain_weights import RULES, blobs, brighter, contrast, edges
from studies.scene_parts import Scenes, load
from studies.scene_run import Run
from tdfusion import results
from tdfusion.data.pair import Batch
from tdfusion.data.synthroad.labels import INFRARED, VISIBLE
from tdfusion.errors import InputError
from tdfusion.tasks.unet import UNetTask


@pytest.fixture
def small(tmp_path, monkeypatch) -> None:
    """Eight scenes, two steps of a judge, and a folder of the test's own."""
    monkeypatch.setattr(lookahead, "SCRATCH", tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    for name, value in {"TRAIN": 32, "TEST": 13}.items():
        monkeypatch.setattr(lookahead, name, value)
    monkeypatch.setattr(judged, "STEPS", 2)
    short = {name: dict(vars(arm)) | {"L": 1, "M": 1, "N": 1, "warm": 1} for name, arm in ARMS.items()}
    monkeypatch.setattr(lookahead, "ARMS", {name: type(ARMS[name])(**arm) for name, arm in short.items()})


def made(name: str, seed: int = 10) -> dict:
    """A job's file, written as its command writes it."""
    file = lookahead.SCRATCH / f"{name}, seed {seed}.json"
    file.write_text(json.dumps(lookahead.run_job(name, seed)))
    return json.loads(file.read_text())


def test_every_kind_of_job_is_judged_and_collecting_adds_to_the_table(small, tmp_path) -> None:
    taught = made(TEACHER)
    assert set(taught["judged"]) == {"", ", U-Net"} and "judged mix" not in taught
    learned, plain, image = made("small: image step"), made("small: contrast"), made("two channels")
    assert 0 <= learned["judged mix"][""][0] <= 1 and learned["map"]["mass"] == pytest.approx(0.5, abs=0.2)
    assert "map" in plain and "metrics" not in image and made("w alone")["judged"]
    judged.collect(tmp_path / "lookahead.csv", lookahead.SCRATCH, jobs(), what="", settings={})
    first = results.load("lookahead", tmp_path)
    assert set(first["arm"]) == {TEACHER, "small: image step", "small: contrast", "two channels", "w alone"}
    for file in (tmp_path / "runs").glob("*.json"):
        file.unlink()
    made("small: half")
    judged.collect(tmp_path / "lookahead.csv", lookahead.SCRATCH, jobs(), what="", settings={})
    both, about = results.load("lookahead", tmp_path), results.about("lookahead", tmp_path)
    kept = both[both["arm"] != "small: half"].reset_index(drop=True)
    assert kept.equals(first)
    ran = [(run["arm"], run["seed"]) for run in about["provenance"]]
    assert ran == [job for job in jobs() if job in ran] and len(ran) == 6
    assert len(about["settings"]["not_run"]) == len(jobs()) - 6
    assert results.maps("lookahead", tmp_path)["teacher, w_a"].shape == (4, 64, 64)


def test_the_teacher_learns_on_other_scenes_than_it_is_judged_on(small, monkeypatch) -> None:
    seen, judged_on = {}, {}

    def spy(arm, seed, train, *rest):
        seen[arm.w] = train.ir
        return Run(arm, seed, train, *rest)

    def judge(images, test_images, train, **rest):
        judged_on[len(judged_on)] = train.ir
        return {"": (0.5, {})}

    monkeypatch.setattr(lookahead, "Run", spy)
    monkeypatch.setattr(lookahead, "judged", judge)
    for name in (TEACHER, "small: half"):
        lookahead.run_job(name, 10)
    train = lookahead.scenes_of("train", 10).ir
    assert torch.equal(seen["half"], train) and all(torch.equal(ir, train) for ir in judged_on.values())
    assert not (seen["direct"] == train).flatten(1).all(1).any()


def test_the_two_judges_are_two_architectures_and_see_every_channel() -> None:
    made = {name: make(3, torch.ones(3), channels=2) for name, make in judged.JUDGES.items()}
    assert [type(T).__name__ for T in made.values()] == ["SegmentationTask", "UNetTask"]
    images = torch.rand(1, 2, 32, 32)
    for T in made.values():
        T.eval()
        assert T.standardise and T.predict(images).shape == (1, 32, 32)
        with pytest.raises(RuntimeError):
            T.predict(images[:, :1])


def test_a_shuffled_teacher_keeps_its_values_and_not_its_places(small) -> None:
    made(TEACHER)
    scenes = lookahead.scenes_of("test", 10)
    plain, mixed = (lookahead.w_given(f"small: {way}", 10, scenes) for way in ("taught", "shuffled"))
    assert torch.equal(plain.flatten(1).sort(1).values, mixed.flatten(1).sort(1).values)
    assert not torch.equal(plain, mixed)


def test_the_command_runs_a_job_and_collects_it(tmp_path, monkeypatch, capsys) -> None:
    def study(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["study", *words])
        run = {"arm": "a", "seed": 3, "judged": {"": (0.5, {"road": 0.5})}, "provenance": {"commit": "x"}}
        judged.command(
            "", tmp_path / "t.csv", tmp_path / "runs", [("a", 3), ("b", 3)],
            lambda name, seed: run | {"arm": name, "seed": seed}, what="", settings={}, prepare=drawn.append,
        )  # fmt: skip

    drawn: list[int] = []
    study("scenes", "--seed", "3")
    study("arm", "a", "--seed", "3")
    study("collect")
    assert drawn == [3] and "a, seed 3: mIoU by SegFormer 0.500" in capsys.readouterr().out
    assert results.about("t", tmp_path)["settings"]["not_run"] == ["b, seed 3"]
    with pytest.raises(SystemExit):
        study("arm", "c", "--seed", "3")


def test_every_job_has_a_place_and_the_core_of_five_seeds_comes_first() -> None:
    order = jobs()
    assert len(order) == len(set(order)) == len(JOBS) * len(SEEDS)
    core = [job for job in order if job[0] in TIERS["core"]]
    assert max(order.index(job) for job in core if job[1] < 15) < min(
        order.index((name, 10)) for name in TIERS["controls"]
    )
    assert {name for name in JOBS if needs_teacher(name)} >= {"small: taught", "small: shuffled", "w alone"}
    assert not any(needs_teacher(name) for name in (TEACHER, "small: half", "small: image step", "mean"))


def known() -> Scenes:
    """Two scenes of 8x8 pixels: infrared carries on the left, visible on the right, neither in one row."""
    optimum = torch.full((2, 8, 8), VISIBLE)
    optimum[..., :4] = INFRARED
    optimum[1, -1] = 0
    flat = torch.zeros(2, 1, 8, 8)
    oracle = (optimum == INFRARED).float()[:, None]
    return Scenes(flat, flat, torch.zeros(2, 8, 8, dtype=torch.int64), optimum, oracle)


def test_a_map_is_scored_by_where_it_is_right_and_not_by_its_size() -> None:
    scenes = known()
    assert judged.map_scores(scenes.oracle, scenes) == {"rank": pytest.approx(1), "mass": 1}
    assert judged.map_scores(1 - scenes.oracle, scenes) == {"rank": pytest.approx(-1), "mass": 0}
    assert judged.map_scores(0.4 + 0.01 * scenes.oracle, scenes)["rank"] == pytest.approx(1)
    assert judged.map_scores(torch.full_like(scenes.oracle, 0.9), scenes) == {
        "rank": 0, "mass": pytest.approx(0.5),
    }  # fmt: skip
    # one of the eight columns wrong, ties in both halves: Spearman's rho of two binary variables is their phi
    wrong = scenes.oracle.clone()
    wrong[..., 0] = 0
    for i, pixels in enumerate((slice(None), slice(0, 7))):
        w, right = wrong[i, 0, pixels].flatten().numpy(), scenes.oracle[i, 0, pixels].flatten().numpy()
        assert np.corrcoef(w, right)[0, 1] == pytest.approx(judged.map_scores(wrong, scenes)["rank"])


def test_rules_of_thumb_on_images_whose_answer_is_plain() -> None:
    I_a, I_b = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.5)
    I_a[..., 8:] = 0.9
    assert brighter(I_a, I_b, 0)[0, 0, 0].tolist() == [0.0] * 8 + [1.0] * 8
    for row in (0, 1):  # stripes of two rows: only infrared has structure on the left
        I_a[..., row::4, :4] += 0.1
    for rule in (contrast, edges):
        w = rule(I_a, I_b, 0)
        assert w[..., 4:12, 1].min() > 0.9 and rule(I_b, I_a, 0)[..., 4:12, 1].max() < 0.1
        assert w.shape == I_a.shape and w.min() >= 0 and w.max() <= 1
    drawn = [blobs(I_a, I_b, seed) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert torch.equal(blobs(I_b, I_a, 0), drawn[0]) and set(drawn[0].unique().tolist()) == {0.0, 1.0}
    assert set(RULES) == {arm.w for name, arm in ARMS.items() if arm.w in RULES}


def test_a_unet_gives_scores_at_the_images_size_and_learns() -> None:
    torch.manual_seed(0)
    T = UNetTask(3, channels=2, width=4)
    images, mask = torch.rand(2, 2, 40, 56), torch.randint(0, 3, (2, 40, 56))
    assert T.logits(images).shape == (2, 3, 40, 56) and T.scores(images).shape == (2, 3, 20, 28)
    batch = Batch(images, images, ("a", "b"), mask=mask)
    T(images, batch).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in T.parameters() if p.ndim > 1)


def test_scenes_of_another_length_are_refused(tmp_path) -> None:
    load("test", tmp_path, 7, 2)
    with pytest.raises(InputError, match="2 scenes, 3 are asked for"):
        load("test", tmp_path, 7, 3)
