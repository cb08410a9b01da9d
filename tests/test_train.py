"""Algorithm 1: what moves when, what is refused, what a run leaves behind."""

from __future__ import annotations

import json

import pytest
import torch
from conftest import ROOT
from torch import Tensor, nn

from tdfusion.algorithm import fusion_step
from tdfusion.commands.main import build_parser, train_config
from tdfusion.config import ADVISED, PRESETS, VARIANTS, TrainConfig, make_config
from tdfusion.data.pair import Batch
from tdfusion.data.readers import open_dataset
from tdfusion.errors import InputError, TrainingError
from tdfusion.meta import meta_gradient
from tdfusion.models import FusionNet
from tdfusion.train import Trainer

TINY = {"L": 1, "M": 2, "N": 2, "scenes": 8, "scene_size": (32, 32), "crop": 32}


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(make_config("smoke", **TINY))


def one_fusion_step(trainer: Trainer, ftr: list[int], **changed) -> dict[str, float]:
    batch = trainer.batches.fusion_batch(ftr)
    settings = trainer.fusion_settings() | changed
    return fusion_step(trainer.state, batch, *trainer.weights(batch.ftr), **settings)


def gradient_of(trainer: Trainer) -> Tensor:
    """dL_t / dtheta_G of the first meta-step, flat."""
    settings = {name: value for name, value in trainer.meta_settings().items() if name != "loss_limit"}
    batch = trainer.batches.meta_batch([0, 1], [2, 3])
    found = meta_gradient(trainer.F, trainer.G, trainer.T, batch.mtr, batch.mts, **settings)
    return torch.cat([g.flatten() for g in found.theta_G.values()])


def state(net: nn.Module) -> list[Tensor]:
    return [t.clone() for t in net.state_dict().values()]


def moved(net: nn.Module, before: list[Tensor]) -> bool:
    return not all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values()))


def test_a_meta_step_moves_G_and_nothing_else(trainer: Trainer) -> None:
    trainer.T.train()
    before = {net: state(net) for net in (trainer.F, trainer.G, trainer.T)}
    moments = [v.clone() for s in trainer.state.T_optimiser.state.values() for v in s.values()]
    row = trainer.meta_step([0, 1], [2, 3])
    assert not moved(trainer.F, before[trainer.F])
    assert not moved(trainer.T, before[trainer.T])
    assert moved(trainer.G, before[trainer.G])
    assert row["G_gradient"] > 0
    after = [v for s in trainer.state.T_optimiser.state.values() for v in s.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, after))


def test_the_step_of_G_is_not_swallowed_by_adams_epsilon(trainer: Trainer) -> None:
    """dL_t/dtheta_G is so small that Adam's usual epsilon (1e-8) would leave G where it is."""
    before = torch.cat([t.flatten() for t in state(trainer.G)])
    trainer.meta_step([0, 1], [2, 3])
    after = torch.cat([t.flatten() for t in state(trainer.G)])
    assert (after - before).abs().median() > 0.1 * trainer.config.eta_G


def test_a_fusion_step_moves_F_and_T_and_leaves_G(trainer: Trainer) -> None:
    before = {net: state(net) for net in (trainer.F, trainer.G, trainer.T)}
    trainer.fusion_step([4, 5])
    assert moved(trainer.F, before[trainer.F])
    assert moved(trainer.T, before[trainer.T])
    assert not moved(trainer.G, before[trainer.G])


def test_the_task_loss_does_not_reach_F_in_the_fusion_step(trainer: Trainer) -> None:
    """Sec. 3.5 trains F on L_f alone; with a weight on L_t (Exp. III of Table 3) it does reach F."""
    for task_weight, reached in ((0.0, False), (1.0, True)):
        one_fusion_step(trainer, [4, 5], loss=lambda I_f, *_: 0 * I_f.sum(), task_weight=task_weight)
        assert any(p.grad is not None and p.grad.any() for p in trainer.F.parameters()) == reached


def test_a_run_follows_algorithm_1_and_leaves_its_folder(tmp_path) -> None:
    trainer = Trainer(make_config("smoke", **TINY | {"L": 2}))
    trainer.run(tmp_path / "run", progress=False)
    phases = [(row["epoch"], row["phase"], row["step"]) for row in trainer.history]
    one = [("meta", 1), ("meta", 2), ("fusion", 1), ("fusion", 2)]
    assert phases == [(epoch, *row) for epoch in (1, 2) for row in one]
    written = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert written == trainer.history
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert make_config(**config) == trainer.config
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert provenance["seed"] == 0 and provenance["seconds"] > 0 and provenance["versions"]["torch"]
    F = FusionNet.from_file(tmp_path / "run" / "F.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(F.state_dict().values(), trainer.F.state_dict().values()))
    assert not list((tmp_path / "run").glob(".*")), "scratch files left behind"
    with pytest.raises(InputError, match="never overwrites"):
        Trainer(make_config("smoke", **TINY)).run(tmp_path / "run", progress=False)


def test_one_seed_repeats_and_two_differ() -> None:
    def losses(seed: int) -> list[float]:
        trainer = Trainer(make_config("smoke", **TINY, seed=seed))
        return [row["L_f"] for row in trainer.run_epoch()]

    assert losses(0) == losses(0)
    assert losses(0) != losses(1)


def test_the_released_variant_runs_with_its_own_settings() -> None:
    config = make_config("smoke", "released", **TINY, task_size=(32, 48))
    assert (config.G_update, config.T_prime_update, config.batch, config.swap) == (
        "normalised",
        "adam",
        1,
        True,
    )
    rows = list(Trainer(config).run_epoch())
    assert [row["phase"] for row in rows] == ["meta", "meta", "fusion", "fusion"]


def test_an_exploding_loss_names_its_pairs(trainer: Trainer) -> None:
    with pytest.raises(TrainingError, match=r"L_f = nan .* on pairs train-00004"):
        one_fusion_step(trainer, [4, 5], loss=lambda I_f, *_: I_f.sum() * float("nan"))
    with pytest.raises(TrainingError, match=r"epoch 1, step 1: L_f = .* on pairs train-"):
        list(Trainer(make_config("smoke", **TINY, loss_limit=1e-6)).run_epoch())


def test_too_few_pairs_are_refused_before_anything_is_built() -> None:
    with pytest.raises(InputError, match="too few"):
        Trainer(make_config("smoke", **TINY | {"scenes": 7}))


def test_presets_and_variants_are_what_they_say() -> None:
    """A snapshot: these numbers are cited in the book and must not drift."""
    paper = make_config("paper")
    assert (paper.L, paper.M, paper.N, paper.batch, paper.crop, paper.alpha) == (50, 200, None, 2, 256, 1.0)
    assert (paper.eta_F, paper.eta_T, paper.eta_G, paper.G_update) == (1e-4, 1e-4, 1e-4, "adam")
    released = make_config("paper", "released", dataset="M3FD", task="detection", root="x")
    assert (released.L, released.M, released.batch, released.swap, released.task_size) == (
        40,
        200,
        1,
        True,
        (192, 256),
    )
    assert (released.decay_every, released.decay_factor) == (10, 0.1)
    assert (released.intensity, released.gradient, released.partition) == ("released",) * 3
    assert PRESETS["smoke"]["L"] == make_config("smoke", "released").L
    differing = {k for k, v in VARIANTS["released"].items() if getattr(TrainConfig(), k) == v}
    assert not differing, "a setting of the released column equals the paper's"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alhpa": 1.0}, 'unknown setting "alhpa"; did you mean "alpha"'),
        ({"preset": "somke"}, 'unknown preset "somke"'),
        ({"variant": "paperr"}, 'unknown variant "paperr"'),
        ({"M": 2.5}, "M = 2.5: expected a whole number"),
        ({"eta_F": -1e-4}, "eta_F = -0.0001"),
        ({"alpha": float("nan")}, "alpha = nan"),
        ({"batch": 0}, "batch = 0"),
        ({"dataset": "KITTI"}, "no data set 'KITTI'"),
        ({"crop": 128}, "crop = 128 px is larger than scene_size"),
        ({"scene_size": 64}, "scene_size = 64: expected two whole numbers"),
        ({"swap": 1}, "swap = 1: expected true or false"),
    ],
)
def test_odd_settings_are_refused_by_name(settings: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_config(**{"preset": "smoke"} | settings)
    assert words in str(caught.value)


def test_another_F_G_T_and_other_pairs_can_be_put_in() -> None:
    class Mix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(0.5))

        def forward(self, I_a: Tensor, I_b: Tensor) -> Tensor:
            return self.gain * I_a + (1 - self.gain) * I_b

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Conv2d(2, 2, 1)

        def forward(self, I_a: Tensor, I_b: Tensor) -> tuple[Tensor, Tensor]:
            return self.net(torch.cat([I_a, I_b], 1)).softmax(1).split(1, 1)

    class Darkness(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.tensor(0.2))

        def forward(self, I_f: Tensor, batch: Batch) -> Tensor:
            return (I_f - self.level).square().mean()

    pairs = open_dataset("SynthRoad", size=32, crop=32, length=8)
    config = make_config("smoke", **TINY | {"dataset": "custom"})
    F, G, T = Mix(), Gate(), Darkness()
    before = [state(net) for net in (F, G, T)]
    rows = list(Trainer(config, F=F, G=G, T=T, pairs=pairs).run_epoch())
    assert len(rows) == 4 and all(moved(net, old) for net, old in zip((F, G, T), before))
    with pytest.raises(InputError, match='pairs are given for "custom", and only for it'):
        Trainer(config)
    with pytest.raises(InputError, match='pairs are given for "custom", and only for it'):
        Trainer(make_config("smoke", **TINY), pairs=pairs)


def test_w_fixed_at_one_half_has_no_meta_phase_and_moves_no_G(tmp_path) -> None:
    trainer = Trainer(make_config("smoke", **TINY, w="half"))
    before = state(trainer.G)
    rows = list(trainer.run_epoch())
    assert [row["phase"] for row in rows] == ["fusion", "fusion"]
    assert {row["w_a"] for row in rows} == {0.5}
    assert not moved(trainer.G, before)
    trainer.run(tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "F.safetensors").exists() and not (tmp_path / "run" / "G.safetensors").exists()


def test_the_gauss_newton_form_is_a_setting() -> None:
    plain, other = (Trainer(make_config("smoke", **TINY, method=m)) for m in ("forward", "gauss_newton"))
    for trainer in (plain, other):
        trainer.T.eval()
    a, b = (gradient_of(t) for t in (plain, other))
    assert torch.isfinite(b).all() and torch.cosine_similarity(a, b, 0) < 0.999


def test_every_preset_is_frozen() -> None:
    """All settings of every preset and variant; a change on purpose writes tests/presets.json anew."""
    frozen = json.loads((ROOT / "tests" / "presets.json").read_text())
    now = {f"{p}, {v}": make_config(p, v).to_dict() for p in PRESETS for v in VARIANTS}
    assert json.loads(json.dumps(now)) == frozen


def test_who_asks_for_no_variant_gets_the_advised_one_and_table_3_the_papers() -> None:
    def asked(*words: str) -> TrainConfig:
        return train_config(build_parser().parse_args(["train", "--out", "x", *words]))

    assert asked() == make_config("smoke", None) == make_config("smoke", ADVISED)
    assert (
        asked().method == "image" != make_config("smoke").method
    )  # the library's own default is the paper's
    assert asked("--variant", "paper") == make_config("smoke", "paper")
    assert asked("--experiment", "III") == make_config("smoke", "paper", "III")
    with pytest.raises(InputError, match='unknown variant "papre"; choose one of paper, released, image'):
        make_config("smoke", "papre")


def test_pairs_read_ahead_by_workers_change_no_number() -> None:
    histories = []
    for workers in (0, 2):
        trainer = Trainer(make_config("smoke", L=1, M=1, N=2, workers=workers))
        assert len(trainer.pairs.source._kept) == (len(trainer.pairs) if workers else 0)
        trainer.run(progress=False)
        histories.append(trainer.history)
    assert histories[0] == histories[1]
