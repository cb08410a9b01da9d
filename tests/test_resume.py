"""A run that was stopped, however, goes on to the same numbers; what cannot be gone on with is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tdfusion.commands.main import main
from tdfusion.config import TrainConfig, make_config
from tdfusion.errors import InputError, TrainingError
from tdfusion.runs import folder as run_folder
from tdfusion.runs.checkpoint import read_checkpoint, write_checkpoint
from tdfusion.train import Trainer

TINY = {"L": 2, "M": 2, "N": 2, "scenes": 8, "scene_size": (32, 32), "crop": 32}
CONFIG = make_config("smoke", **TINY)


class Killed(BaseException):
    """Nothing catches it, as nothing catches a process that is gone."""


def weights(trainer: Trainer) -> list[Tensor]:
    return [t for net in (trainer.F, trainer.G, trainer.T) for t in net.state_dict().values()]


@pytest.fixture(scope="module")
def whole() -> Trainer:
    trainer = Trainer(CONFIG)
    trainer.run(progress=False)
    return trainer


@pytest.mark.parametrize("every", [0.0, 1e9], ids=["checkpoint every step", "checkpoint every epoch"])
@pytest.mark.parametrize("rows", [1, 3, 4, 6])
def test_a_killed_run_resumes_to_the_same_numbers(
    tmp_path, monkeypatch, whole, rows: int, every: float
) -> None:
    append = run_folder.RunFolder.append

    def die(self, row) -> None:
        append(self, row)
        if sum(1 for _ in (self.path / "history.jsonl").open()) == rows:
            raise Killed

    monkeypatch.setattr(run_folder.RunFolder, "due", property(lambda _: every == 0))
    with monkeypatch.context() as once:
        once.setattr(run_folder.RunFolder, "append", die)
        with pytest.raises(Killed):
            Trainer(CONFIG).run(tmp_path / "run", progress=False)
    torch.manual_seed(99)
    resumed = Trainer(CONFIG)
    resumed.run(tmp_path / "run", resume=True, progress=False)
    assert resumed.history == whole.history
    assert all(torch.equal(a, b) for a, b in zip(weights(resumed), weights(whole), strict=True))
    written = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert written == whole.history
    made = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert len(made["pieces"]) == 2


def test_more_epochs_can_be_asked_for_and_other_settings_cannot(tmp_path, whole) -> None:
    Trainer(make_config("smoke", **TINY | {"L": 1})).run(tmp_path / "run", progress=False)
    with pytest.raises(InputError, match=r"alpha was 1.0, now 0.5"):
        Trainer(make_config("smoke", **TINY, alpha=0.5)).run(tmp_path / "run", resume=True, progress=False)
    longer = Trainer(run_folder.stored_config(tmp_path / "run", L=2))
    longer.run(tmp_path / "run", resume=True, progress=False)
    assert longer.history == whole.history
    with pytest.raises(InputError, match="L = 1 lies behind"):
        Trainer(make_config("smoke", **TINY | {"L": 1})).run(tmp_path / "run", resume=True, progress=False)


def test_ctrl_c_leaves_a_checkpoint_that_the_command_resumes(tmp_path, capsys) -> None:
    arguments = ["train", "--out", str(tmp_path / "run"), "--scored", "0", "--set", "L=40"]
    for name, value in {"M": 2, "N": 2, "scenes": 8, "scene_size": "32,32", "crop": 32}.items():
        arguments += ["--set", f"{name}={value}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tdfusion", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    history = tmp_path / "run" / "history.jsonl"
    for _ in range(600):
        if history.exists() and history.stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after epoch" in said and "resume goes on from" in said
    state = read_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert state["rows"] == len(history.read_text().splitlines()) > 0
    epochs = state["epoch"] + 1
    again = ["train", "--out", str(tmp_path / "run"), "--resume", "--scored", "0", "--set", f"L={epochs}"]
    assert main(again) == 0
    whole = Trainer(
        make_config("smoke", None, **TINY | {"L": epochs})
    )  # as the command, which names no variant
    whole.run(progress=False)
    written = [json.loads(line) for line in history.read_text().splitlines()]
    assert [row["L_f"] for row in written] == pytest.approx([row["L_f"] for row in whole.history], rel=1e-4)
    capsys.readouterr()


def test_a_run_in_pieces_is_the_whole_run(tmp_path, whole) -> None:
    pieces = 0
    while not Trainer(CONFIG).run(tmp_path / "run", resume=pieces > 0, minutes=0, progress=False):
        pieces += 1  # a step at a time
    assert pieces == 8
    written = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert written == whole.history


def test_a_new_run_in_its_folder_is_refused_and_told_of_resume(tmp_path) -> None:
    Trainer(make_config("smoke", **TINY | {"L": 1})).run(tmp_path, progress=False)
    with pytest.raises(InputError, match=r"not empty \(resume goes on with it\)"):
        Trainer(CONFIG).run(tmp_path, progress=False)
    with pytest.raises(InputError, match="no run to resume"):
        Trainer(CONFIG).run(tmp_path / "elsewhere", resume=True, progress=False)


@pytest.mark.parametrize("harm", ["cut short", "one byte", "not a checkpoint", "gone"])
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path, harm: str) -> None:
    file = tmp_path / "checkpoint.pt"
    write_checkpoint(file, {"numbers": torch.arange(1000.0), "epoch": 1})
    whole = file.read_bytes()
    if harm == "cut short":
        file.write_bytes(whole[: len(whole) // 2])
    elif harm == "one byte":
        at = whole.index(torch.arange(1000.0).numpy().tobytes()) + 100
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    elif harm == "not a checkpoint":
        file.write_text("hello")
    else:
        file.unlink()
    with pytest.raises(InputError, match=r"checkpoint\.pt"):
        read_checkpoint(file)


def test_a_checkpoint_that_fails_to_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    write_checkpoint(file, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        write_checkpoint(file, {"epoch": lambda: 2})
    assert read_checkpoint(file) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_history_shorter_than_the_checkpoint_is_refused(tmp_path: Path) -> None:
    Trainer(make_config("smoke", **TINY | {"L": 1})).run(tmp_path / "run", progress=False)
    file = tmp_path / "run" / "history.jsonl"
    file.write_text(file.read_text().partition("\n")[0] + "\n")
    with pytest.raises(InputError, match=r"history\.jsonl: 1 rows, but the checkpoint stands after 4"):
        Trainer(CONFIG).run(tmp_path / "run", resume=True, progress=False)


def test_a_loss_that_is_no_number_stops_with_its_step_pairs_and_state(tmp_path: Path, monkeypatch) -> None:
    trainer = Trainer(CONFIG)
    real = trainer.L_f
    calls = iter(range(100))
    monkeypatch.setattr(trainer, "L_f", lambda *a: real(*a) * (float("nan") if next(calls) >= 4 else 1.0))
    with pytest.raises(TrainingError, match=r"epoch 1, step 3: L_f = nan .* pairs train-0.*stopped\.pt"):
        trainer.run(tmp_path / "run", progress=False)
    kept = read_checkpoint(tmp_path / "run" / "stopped.pt")
    assert kept["rows"] == 2 and "L_f = nan" in kept["why"]
    assert all(torch.isfinite(t).all() for t in kept["networks"]["F"].values())
    assert read_checkpoint(tmp_path / "run" / "checkpoint.pt")["rows"] == 0


def test_an_exploding_loss_stops_the_run() -> None:
    with pytest.raises(TrainingError, match=r"loss_limit = 1e-06"):
        Trainer(make_config("smoke", **TINY, loss_limit=1e-6)).run(progress=False)


def test_snapshots_are_kept_where_asked_for(tmp_path: Path) -> None:
    Trainer(make_config("smoke", **TINY, snapshots=1)).run(tmp_path, progress=False)
    names = {p.name for p in (tmp_path / "snapshots").iterdir()}
    assert names == {f"{net}_epoch0{epoch}.safetensors" for net in "FG" for epoch in (1, 2)}
    last, final = (tmp_path / f for f in ("snapshots/G_epoch02.safetensors", "G.safetensors"))
    from safetensors.torch import load_file

    assert all(torch.equal(a, b) for a, b in zip(load_file(last).values(), load_file(final).values()))


def test_every_setting_survives_its_file(tmp_path: Path) -> None:
    config = make_config("paper", "released", task="detection", device="cpu", snapshots=5)
    run_folder.RunFolder(tmp_path / "run").start(config)
    assert run_folder.stored_config(tmp_path / "run") == config
    assert isinstance(config, TrainConfig)
