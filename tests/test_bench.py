"""The benchmark of the meta-step compares equals, and its arithmetic is right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT

from benchmarks import bench_meta
from benchmarks.bench_meta import (
    BARE,
    FINITE,
    IMAGE,
    META,
    MIXED,
    OURS,
    PLAIN,
    comparisons,
    need,
    pack,
    plan,
    random_batch,
)
from benchmarks.measure import Case, Measured, side_by_side
from tdfusion.losses import fusion_loss
from tdfusion.meta import meta_gradient
from tdfusion.models import FusionNet, LossNet
from tdfusion.reference.double_backward import plain_meta_gradient
from tdfusion.reference.networks import PlainFusionNet, PlainLossNet
from tdfusion.results import load, provenance_of

SMALL_SEGFORMER = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "decoder_hidden_size": 16}
STEPS = {"loss": fusion_loss, "eta_F_prime": 0.01, "eta_T_prime": 0.01}


def small_task(name: str) -> torch.nn.Module:
    if name == "segmentation":
        from tdfusion.tasks.segmentation import SegmentationTask

        # Eval mode: SegFormer's dropout would draw differently in the two forms.
        return SegmentationTask(bench_meta.CLASSES, **SMALL_SEGFORMER).double().eval()
    from tdfusion.tasks.detection import DetectionTask

    return DetectionTask(bench_meta.CLASSES).double().train()


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_the_plain_meta_step_is_the_library_s(task: str) -> None:
    F, G = FusionNet(8, 1).double(), LossNet(8, 1).double()
    plain_F, plain_G = PlainFusionNet(8, 1).double(), PlainLossNet(8, 1).double()
    plain_F.load_state_dict(F.state_dict())
    plain_G.load_state_dict(G.state_dict())
    T = small_task(task)
    mtr, mts = (in_double(random_batch(64, 64)) for _ in range(2))
    ours = meta_gradient(F, G, T, mtr, mts, **STEPS).theta_G
    plain = plain_meta_gradient(plain_F, plain_G, T, mtr, mts, **STEPS)
    assert list(ours) == list(plain)
    away = torch.cat([(ours[name] - plain[name]).flatten() for name in ours])
    assert away.norm() < 1e-10 * torch.cat([g.flatten() for g in plain.values()]).norm()


def in_double(batch):
    return replace(
        batch, ir=batch.ir.double(), vi=batch.vi.double(), boxes=tuple(b.double() for b in batch.boxes)
    )


def test_random_boxes_are_boxes() -> None:
    for boxes in random_batch(48, 96).boxes:
        assert (boxes[:, 1] < boxes[:, 3]).all() and (boxes[:, 2] < boxes[:, 4]).all()
        assert boxes[:, 3].max() <= 96 and boxes[:, 4].max() <= 48


CASE = Case(META, OURS, 256, 256, 2, True, "segmentation")


def test_groups_are_split_as_memory_demands() -> None:
    group = [replace(CASE, side=side, kept=kept) for side in (OURS, PLAIN, BARE) for kept in (True, False)]
    assert pack(group, need(group)) == ([group], [])
    split, left_out = pack(group, need([replace(CASE, side=PLAIN)]))
    assert len(split) > 1 and not left_out and {case for cases in split for case in cases} == set(group)
    assert all(need(cases) <= need([replace(CASE, side=PLAIN)]) for cases in split)
    _, left_out = pack(group, need([CASE]))
    assert {case.side for case in left_out} == {PLAIN}


def test_memory_that_is_not_kept_counts_once() -> None:
    kept, passing = replace(CASE), replace(CASE, kept=False)
    assert need([kept, kept]) - need([kept, passing]) == pytest.approx(0)
    assert need([passing, passing]) < need([kept, passing])


def test_every_contestant_has_an_opponent_of_the_same_kind() -> None:
    for group in plan(quick=False):
        for kept in (True, False):
            sides = [case.side for case in group if case.kept is kept and case.batch == Case.batch]
            assert sides.count(OURS) == sides.count(PLAIN) == (1 if group[0].batch == Case.batch else 0)
        if group[0].what == META:
            assert all((case.side, case.kept) != (IMAGE, False) for case in group)
            assert sum(case.side == IMAGE for case in group) == 1


def test_ratios_are_taken_round_by_round() -> None:
    values = {"dL_t/dtheta_G": np.array([3.0, 4.0])}
    ours = Measured([1.0, 2.0, 4.0], 600.0, 500.0, values)
    plain = Measured([3.0, 4.0, 4.0], 1500.0, 500.0, {"dL_t/dtheta_G": np.array([3.0, 4.5])})
    bare = Measured([0.5, 1.0, 4.0], 550.0, 500.0, {})
    found = {
        replace(CASE, kept=True): ours,
        replace(CASE, side=PLAIN, kept=False): plain,
        replace(CASE, side=BARE, kept=True): bare,
    }
    (row,) = comparisons(found)  # the other two pairings were not measured
    assert row["pairing"] == "as each is run by default"
    assert (row["times_faster"], row["times_faster_quartiles"]) == (2.0, [1.5, 2.5])
    assert (row["memory_part"], row["memory_part_over_start"]) == (0.4, 0.1)
    assert row["over_bare_passes"] == 2.0
    assert row["differences"]["dL_t/dtheta_G"]["largest"] == 0.5


def test_the_step_in_the_image_is_held_against_ours() -> None:
    values = {"dL_t/dtheta_G": np.array([3.0, 4.0])}
    found = {
        CASE: Measured([2.0, 4.0, 4.0], 1000.0, 500.0, values),
        replace(CASE, side=IMAGE): Measured(
            [1.0, 1.0, 2.0], 750.0, 500.0, {"dL_t/dtheta_G": np.array([9.0, 9.0])}
        ),
        replace(CASE, side=MIXED): Measured(
            [4.0, 8.0, 8.0], 1500.0, 500.0, {"dL_t/dtheta_G": np.array([3.0, 4.5])}
        ),
    }
    mixed, image = comparisons(found)
    assert image["pairing"] == "step in the image, both keep freed memory" and image["differences"] == {}
    assert image["times_of_ours"] == 0.5 and image["memory_part_over_start"] == 0.5
    assert mixed["times_of_ours"] == 2 and mixed["differences"]["dL_t/dtheta_G"]["largest"] == 0.5
    (aim,) = bench_meta.reach([image | {"height": 128}])
    assert aim["met"] and aim["measure"] == "times_of_ours"


@pytest.mark.parametrize("side", [OURS, FINITE, MIXED, IMAGE])
def test_every_contestant_computes_the_gradient_it_stands_for(side, monkeypatch) -> None:
    """The exact ones agree; the step in the image is another gradient, and not zero."""
    monkeypatch.setattr(bench_meta, "build_task", lambda task, classes: small_task(task).float())
    monkeypatch.setattr(bench_meta, "FusionNet", lambda: FusionNet(8, 1))
    monkeypatch.setattr(bench_meta, "LossNet", lambda: LossNet(8, 1))
    case = Case(META, side, 64, 64, 1, True, "segmentation", batch=1)
    made = [bench_meta.build(replace(case, side=s))()["dL_t/dtheta_G"] for s in (OURS, side)]
    away = np.linalg.norm(made[0] - made[1]) / np.linalg.norm(made[0])
    assert np.linalg.norm(made[1]) > 0
    assert away > 0.1 if side == IMAGE else away < (0.1 if side == FINITE else 1e-3)


def test_J_v_is_the_same_in_both_modes(monkeypatch) -> None:
    for name in ("FusionNet", "PlainFusionNet"):
        monkeypatch.setattr(bench_meta, name, lambda: FusionNet(8, 1).double())
    monkeypatch.setattr(bench_meta, "random_batch", lambda *size: in_double(random_batch(*size)))
    case = Case(bench_meta.TANGENT, OURS, 48, 48, 1, True)
    ours, plain, forward = (
        bench_meta.build(replace(case, side=side))()["J v"] for side in (OURS, PLAIN, BARE)
    )
    assert np.linalg.norm(ours - plain) < 1e-10 * np.linalg.norm(plain) and np.abs(ours).max() > 0
    assert forward.shape == ours.shape and np.abs(forward - ours).max() > 0


def fill(case: Case):
    """For the test below: takes as many MB as the case is high."""
    if case.side == PLAIN:
        raise ValueError("a process that fails")

    def call() -> dict[str, np.ndarray]:
        return {"sum": np.array(np.ones(case.height * 125_000).sum())}

    return call


def test_a_process_reports_its_rounds_and_its_result() -> None:
    cases = [replace(CASE, height=mb, kept=True, threads=1) for mb in (100, 400)]
    *calls, found = side_by_side(cases, fill, rounds=2)
    assert calls == [None] * 6
    for case in cases:
        measured = found[case]
        assert len(measured.seconds) == 2
        assert measured.values["sum"] == case.height * 125_000


def test_a_failing_process_stops_the_measurement(capfd) -> None:
    with pytest.raises(RuntimeError, match="ended before its time"):
        list(side_by_side([replace(CASE, side=PLAIN)], fill, rounds=1))
    assert "a process that fails" in capfd.readouterr().err


def test_the_stored_ratios_follow_from_the_stored_times() -> None:
    table = load("bench_meta")
    values = table.set_index(["task", "group", "arm", "metric"])["value"]
    assert provenance_of("bench_meta")[0]["load_average_start"]
    ratios = table.query("metric == 'times_faster' and arm == 'both keep freed memory'")
    assert len(ratios)  # times without kept memory spread too far for what follows
    for row in ratios.itertuples():
        plain, ours = (
            values[row.task, row.group, f"{side}, memory kept", "median_s"] for side in (PLAIN, OURS)
        )
        assert row.value == pytest.approx(plain / ours, rel=0.3)  # a median of ratios is no ratio of medians


def test_the_reach_can_be_written_down() -> None:
    row = {"what": META, "task": None, "height": 128, "width": 128, "threads": 2, "differences": {}}
    row |= {
        "pairing": bench_meta.DEFAULT,
        "times_faster": np.float64(3),
        "memory_part": 0.5,
        "batch": Case.batch,
    }
    met = json.loads(json.dumps(bench_meta.reach([row | {"over_bare_passes": 1.2}])))
    assert [aim["met"] for aim in met] == [True, False, True]


def test_a_process_does_not_inherit_the_peak_of_the_one_that_started_it() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the high-water mark of memory is read from /proc, which this system lacks")
    ballast = np.ones(2_000_000_000 // 8)  # 2 GB, touched
    code = "from benchmarks import measure; print(measure.peak_memory())"
    peak = float(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
    )
    assert 10 < peak < ballast.nbytes / 1e6
