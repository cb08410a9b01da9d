"""The mechanism study measures what it says."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from studies import mechanism, mechanism_signal
from studies.arm import Arm
from studies.mechanism_arms import MASK
from studies.scene_parts import LocalLossNet, MaskFusion, Scenes, region_means, weights_all
from studies.scene_run import Run, shuffled
from tdfusion import results
from tdfusion.data.synthroad.scenes import OPTIMUM, SynthRoad, oracle_weights


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    pairs = [SynthRoad("train", 8, (64, 64), 0)[i] for i in range(8)]
    stacked = {
        name: torch.stack([getattr(p, name) for p in pairs]) for name in ("ir", "vi", "mask", "optimum")
    }
    return Scenes(**stacked, oracle=torch.stack([oracle_weights(p.optimum) for p in pairs]))


@pytest.mark.parametrize("network", ["mask", "mask centred", "paper 8"])
def test_one_step_by_forward_mode_is_one_step_by_reverse_mode(scenes: Scenes, network: str) -> None:
    """The bracket of Eq. (11) against differentiating the step: the first has F' = F in v, so the step is tiny."""
    run = Run(replace(MASK, F=network, w="half", eta_F=1e-6), 0, scenes, scenes)
    run.state.T.eval()
    for net in (run.state.F, run.state.T):
        net.double()
    run.train = Scenes(*(t.double() if t.is_floating_point() else t for t in vars(scenes).values()))
    mtr, mts = torch.arange(2), torch.arange(2, 4)
    push, on = mechanism_signal.pushes(run, mtr, mts, ("one step",))["one step"]
    through = -mechanism_signal.through_steps(run, mtr, mts, 1)
    assert torch.equal(on, mtr)
    scale = 2 * run.arm.eta_F / push.numel()
    assert (scale * push - through).norm() < 1e-4 * through.norm()


def test_a_centred_mask_cannot_lean(scenes: Scenes) -> None:
    def logit_mean(F: MaskFusion) -> torch.Tensor:
        I_a, I_b = torch.ones(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)  # then I_f is the mask itself
        return F(I_a, I_b).logit().mean()

    for centred in (True, False):
        F = MaskFusion(centred)
        with torch.no_grad():
            F.net[-1].bias += 3.0
        assert (abs(logit_mean(F)) < 1e-5) == centred


def test_shuffling_keeps_every_value_of_an_image(scenes: Scenes) -> None:
    w = weights_all(LocalLossNet(), scenes)
    mixed = shuffled(w, 0)
    assert torch.equal(mixed.flatten(1).sort(1).values, w.flatten(1).sort(1).values)
    assert not torch.equal(mixed, w)


def test_region_means_are_means_over_regions(scenes: Scenes) -> None:
    found = region_means(scenes.oracle, scenes.optimum)
    assert found["infrared"] == 1 and found["visible"] == 0
    either = scenes.oracle.numpy()[:, 0][scenes.optimum.numpy() == OPTIMUM.index("either")]
    assert found["either"] == pytest.approx(either.mean(), rel=1e-5)


def test_the_meta_phase_moves_G_alone_and_the_fusion_phase_F_and_T(scenes: Scenes) -> None:
    run = Run(replace(MASK, batch=4), 0, scenes, scenes)
    state = lambda net: torch.cat([p.detach().flatten() for p in net.parameters()])  # noqa: E731
    before = {name: state(getattr(run.state, name)) for name in "FGT"}
    run.meta_step([0, 1], [2, 3])
    assert [torch.equal(before[n], state(getattr(run.state, n))) for n in "FGT"] == [True, False, True]
    G = state(run.state.G)
    run.fusion_step()
    assert [torch.equal(before[n], state(getattr(run.state, n))) for n in "FT"] == [False, False]
    assert torch.equal(G, state(run.state.G))


def test_the_stored_study_is_whole() -> None:
    table, about = results.load("mechanism"), results.about("mechanism")
    judged = table.query("metric == 'mIoU'").set_index(["arm", "seed"])["value"]
    missing = {
        "{}, seed {}".format(*job) for job in mechanism.jobs(mechanism.SEEDS) if job not in judged.index
    }
    assert missing == set(about["settings"]["not_run"])
    assert [(made["arm"], made["seed"]) for made in about["provenance"]] == list(judged.index)
    for arm, setting in about["arms"].items():
        assert asdict(Arm(**setting)) == asdict(mechanism.ARMS[arm])
    over_classes = table.query("metric == 'IoU'").groupby(["arm", "seed"])["value"].mean()
    np.testing.assert_allclose(over_classes[judged.index], judged, atol=1e-5)


def test_a_job_becomes_rows_and_a_history() -> None:
    """From what `run_arm` leaves to what the page reads."""
    score = {"miou": 0.5, "iou": {"road": 0.4, "car": 0.6}}
    w_a = {"infrared": 0.7, "visible": 0.2}
    epochs = [{"epoch": 0, "L_t": None, "w_a": w_a}, {"epoch": 1, "L_t": 2.0, "w_a": w_a}]
    run = {
        "arm": "mask plain",
        "seed": 1,
        "history": epochs,
        "downstream": score,
        "w_a_before": w_a,
        "w_a": w_a,
    }
    table = results.tidy("mechanism", mechanism.rows(run)).set_index(["metric", "group"])["value"]
    assert table["mIoU", ""] == 0.5 and table["IoU", "car"] == 0.6
    assert table["w_a", "visible"] == table["w_a before", "visible"] == 0.2
    assert len(table) == 7
    found = mechanism.history([run])
    assert found.loc[1, ["epoch", "L_t", "w_a infrared"]].tolist() == [1, 2.0, 0.7]


def test_the_task_pulls_F_only_where_the_arm_says_so(scenes: Scenes) -> None:
    """At w = 1/2 and no gradient term a centred mask of m = 1/2 is the optimum of L_f: only L_t pulls there."""
    pull = {}
    for weight in (0.0, 1.0):
        run = Run(replace(MASK, w="half", batch=4, task_weight=weight), 0, scenes, scenes)
        with torch.no_grad():
            for p in run.state.F.net[-1].parameters():
                p.zero_()
        run.fusion_step()
        pull[weight] = max(p.grad.abs().max().item() for p in run.state.F.net[-1].parameters())
    assert pull[0.0] < 1e-6 < 1e-4 < pull[1.0]
