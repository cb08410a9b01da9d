"""Table 3's experiments and their controls are settings of one Algorithm 1, and each does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tdfusion.algorithm import fusion_step, weights_by
from tdfusion.commands.main import main
from tdfusion.config import EXPERIMENTS, make_config
from tdfusion.data.pair import Batch
from tdfusion.data.synthroad.scenes import oracle_weights
from tdfusion.errors import InputError
from tdfusion.losses import gradient_loss
from tdfusion.models import LossNet, MixNet
from tdfusion.train import Trainer
from tdfusion.weights import write_safetensors

TINY = {"L": 1, "M": 2, "N": 2, "scenes": 8, "scene_size": (32, 32), "crop": 32, "width": 8, "blocks": 1}


def trainer_of(experiment: str, **settings) -> Trainer:
    return Trainer(make_config("smoke", experiment=experiment, **TINY | settings))


def state(net: nn.Module) -> list[Tensor]:
    return [t.clone() for t in net.state_dict().values()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def moved_by(trainer: Trainer) -> tuple[list[str], dict[str, bool]]:
    """The phases of an epoch, and which networks moved in it."""
    before = {name: state(getattr(trainer, name)) for name in "FGT"}
    phases = [row["phase"] for row in trainer.run_epoch()]
    return phases, {name: not same(before[name], state(getattr(trainer, name))) for name in "FGT"}


ALL = {"F": True, "G": True, "T": True}


@pytest.mark.parametrize(
    ("experiment", "phases", "moved"),
    [
        ("full", ["meta", "meta", "fusion", "fusion"], ALL),
        ("I", ["fusion", "fusion"], ALL | {"G": False}),
        ("II", ["meta", "meta", "fusion", "fusion"], ALL),
        ("III", ["meta", "meta", "fusion", "fusion"], ALL),
        ("IV-L_f", ["meta", "meta"], ALL),
        ("IV-L_t", ["meta", "meta"], ALL),
        ("V", ["fusion", "fusion"], ALL),
    ],
)
def test_what_moves_when(experiment: str, phases: list[str], moved: dict[str, bool]) -> None:
    assert moved_by(trainer_of(experiment)) == (phases, moved)


def test_every_experiment_is_here() -> None:
    assert list(EXPERIMENTS) == ["full", "I", "II", "III", "IV-L_f", "IV-L_t", "V"]


def slope_of_F(trainer: Trainer, **changed) -> Tensor:
    """The gradient that F received in one fusion step, from the same start and the same dropout."""
    torch.manual_seed(3)
    trainer.T.eval()
    batch = trainer.batches.fusion_batch([4, 5])
    fusion_step(trainer.state, batch, *trainer.weights(batch.ftr), **trainer.fusion_settings() | changed)
    return torch.cat([p.grad.flatten() for p in trainer.F.parameters()])


def by_hand(trainer: Trainer, fusion_weight: float, task_weight: float) -> Tensor:
    """The same gradient from the losses themselves."""
    trainer.T.eval()
    batch = trainer.batches.fusion_batch([4, 5]).ftr
    with torch.no_grad():
        w_a, w_b = trainer.G(batch.ir, batch.vi)
    I_f = trainer.F(batch.ir, batch.vi)
    loss = fusion_weight * trainer.L_f(I_f, batch.ir, batch.vi, w_a, w_b) + task_weight * trainer.T(
        I_f, batch
    )
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(trainer.F.parameters()))])


@pytest.mark.parametrize(("experiment", "weights"), [("full", (1, 0)), ("III", (1, 1)), ("IV-L_t", (0, 1))])
def test_F_follows_the_loss_that_the_experiment_names(experiment: str, weights: tuple[int, int]) -> None:
    expected = by_hand(trainer_of(experiment), *weights)
    torch.testing.assert_close(slope_of_F(trainer_of(experiment)), expected, rtol=1e-4, atol=1e-7)


def test_T_follows_its_own_loss_whatever_the_weight_in_F_s() -> None:
    """Eq. (9) has no weight: T's gradient is that of L_t alone."""
    slopes = []
    for task_weight in (0.0, 1.0, 0.125):
        trainer = trainer_of("full")
        slope_of_F(trainer, task_weight=task_weight)
        slopes.append(torch.cat([p.grad.flatten() for p in trainer.T.parameters() if p.grad is not None]))
    for other in slopes[1:]:
        torch.testing.assert_close(slopes[0], other, rtol=1e-4, atol=1e-7)


def test_II_has_no_gradient_term() -> None:
    plain, full = trainer_of("II"), trainer_of("full")
    batch = plain.batches.fusion_batch([0, 1]).ftr
    I_f, w = torch.rand_like(batch.ir), torch.rand_like(batch.ir)
    terms = [t.L_f(I_f, batch.ir, batch.vi, w, 1 - w) for t in (full, plain)]
    torch.testing.assert_close(terms[0] - terms[1], gradient_loss(I_f, batch.ir, batch.vi))


def test_IV_moves_F_on_the_meta_test_pairs() -> None:
    trainer = trainer_of("IV-L_f")
    _, mts = trainer.batches.meta_sets(1)
    seen = [batch.ftr.ftr.names for batch in trainer.batches.meta(1)]
    assert [name for names in seen for name in names] == [trainer.pairs.names[i] for i in mts]
    row = next(trainer.run_epoch())
    assert {"L_f", "L_t", "L_f_ftr", "L_t_ftr", "G_gradient"} <= row.keys()


def test_V_is_the_mix_and_G_learns_from_L_t(tmp_path: Path) -> None:
    trainer = trainer_of("V")
    assert isinstance(trainer.F, MixNet) and trainer.F.G is trainer.G
    batch = trainer.batches.fusion_batch([0, 1]).ftr
    w_a, w_b = trainer.G(batch.ir, batch.vi)
    torch.testing.assert_close(trainer.F(batch.ir, batch.vi), w_a * batch.ir + w_b * batch.vi)
    trainer.run(tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "G.safetensors").is_file()


# Controls of w


def test_the_oracle_s_weights_are_those_of_the_scene() -> None:
    trainer = trainer_of("full", w="oracle")
    batch = trainer.batches.fusion_batch([2, 3]).ftr
    w_a, w_b = trainer.weights(batch)
    expected = torch.stack([oracle_weights(trainer.pairs[i].optimum) for i in (2, 3)])
    assert torch.equal(w_a, expected) and torch.equal(w_b, 1 - expected)
    assert w_a.unique().numel() > 1
    assert [row["phase"] for row in trainer.run_epoch()] == ["fusion", "fusion"]


def test_the_oracle_s_weights_change_sides_with_swapped_modalities() -> None:
    trainer = trainer_of("full", w="oracle", swap=True)
    batch = trainer.batches.fusion_batch([2, 3]).ftr
    assert torch.equal(batch.oracle[2:], 1 - batch.oracle[:2])


def test_given_weights_are_those_of_the_file_and_stay(tmp_path: Path) -> None:
    torch.manual_seed(11)
    G = LossNet(8, 1)
    write_safetensors(tmp_path / "G.safetensors", G)
    trainer = trainer_of("full", w="given", w_from=str(tmp_path / "G.safetensors"))
    batch = trainer.batches.fusion_batch([0, 1]).ftr
    assert torch.equal(trainer.weights(batch)[0], G(batch.ir, batch.vi)[0])
    _, moved = moved_by(trainer)
    assert moved == ALL | {"G": False}


def test_shuffled_weights_keep_every_value_of_an_image_and_lose_its_place(tmp_path: Path) -> None:
    torch.manual_seed(11)
    write_safetensors(tmp_path / "G.safetensors", LossNet(8, 1))
    given, mixed = (
        trainer_of("full", w=w, w_from=str(tmp_path / "G.safetensors")) for w in ("given", "shuffled")
    )
    batch = given.batches.fusion_batch([0, 1]).ftr
    (a, _), (b, w_b), (again, _) = given.weights(batch), mixed.weights(batch), mixed.weights(batch)
    assert torch.equal(a.flatten(1).sort(1).values, b.flatten(1).sort(1).values)
    assert not torch.equal(a, b) and torch.equal(b, again)
    torch.testing.assert_close(b + w_b, torch.ones_like(b))


def test_a_frozen_G_writes_weights_and_never_moves() -> None:
    phases, moved = moved_by(trainer := trainer_of("full", w="frozen"))
    assert (phases, moved) == (["fusion", "fusion"], ALL | {"G": False})
    batch = trainer.batches.fusion_batch([0, 1]).ftr
    assert not torch.equal(trainer.weights(batch)[0], torch.full_like(batch.ir, 0.5))


def test_the_oracle_needs_a_known_optimum() -> None:
    batch = Batch(torch.rand(1, 1, 4, 4), torch.rand(1, 1, 4, 4), ("a",))
    with pytest.raises(InputError, match=r"a: no known optimum"):
        weights_by("oracle", LossNet(8, 1))(batch)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"experiment": "VI"}, 'unknown experiment "VI"'),
        ({"w": "given"}, 'w = \'given\', w_from = None: "given" and "shuffled" take a file of G'),
        ({"w_from": "G.safetensors"}, "w = 'learned', w_from = 'G.safetensors'"),
        ({"w": "oracle", "dataset": "MSRS"}, "MSRS has no known optimum"),
        ({"fusion_weight": 0.0}, "nothing would move F"),
        ({"experiment": "IV-L_f", "w": "half"}, "no outer update to move F in"),
        ({"form": "mix"}, "form = 'mix'"),
        ({"width": 12}, "a multiple of 8"),
        ({"method": "double_backward"}, "expected one of 'forward'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(InputError) as caught:
        make_config(**settings)
    assert words in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_command_trains_every_experiment(tmp_path: Path, experiment: str) -> None:
    out = tmp_path / "run"
    command = ["train", "--out", str(out), "--experiment", experiment, "--scored", "0"]
    for name, value in TINY.items():
        value = ",".join(map(str, value)) if isinstance(value, tuple) else value
        command += ["--set", f"{name}={value}"]
    assert main(command) == 0
    assert (out / "F.safetensors").is_file()
