"""Two processes that share a batch are one process with the joint batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from tdfusion.errors import InputError
from tdfusion.runs.processes import Processes

# Plain steps: Adam's first step is the sign of the gradient, which rounding can turn.
SCRIPT = """
import sys, torch
from torch import nn
import torch.nn.functional as nnf
from tdfusion.config import make_config
from tdfusion.models import FusionNet, LossNet
from tdfusion.train import Trainer

class Task(nn.Module):  # no batch norm, no dropout: what T computes of a pair depends on that pair alone
    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(1, 9, 3, padding=1)
    def forward(self, I_f, batch):
        return nnf.cross_entropy(self.net(I_f), batch.mask)

torch.set_num_threads(1)
torch.manual_seed(5)
config = make_config("smoke", L=1, M=2, N=2, batch=4, scenes=16, scene_size=(32, 32), crop=32,
                     G_update="gradient", eta_G=1e3, eta_F_prime=0.1, eta_T_prime=0.1)
trainer = Trainer(config, F=FusionNet(8, 1), G=LossNet(8, 1), T=Task())
trainer.state.F_optimiser = torch.optim.SGD(trainer.F.parameters(), lr=config.eta_F)
trainer.state.T_optimiser = torch.optim.SGD(trainer.T.parameters(), lr=config.eta_T)
for optimiser in (trainer.state.F_optimiser, trainer.state.T_optimiser):
    for group in optimiser.param_groups:
        group["lr"] = 0.1
trainer._decay = lambda: None
flat = lambda: [torch.cat([p.detach().flatten() for p in n.parameters()]) for n in (trainer.F, trainer.G, trainer.T)]
before = flat()
trainer.run(sys.argv[1] + "/run", progress=False)
moves = [a - b for a, b in zip(flat(), before)]
if trainer.processes.first:
    torch.save({"moves": moves, "history": trainer.history}, sys.argv[1] + "/moves.pt")
"""


def start(folder, processes: int) -> list[subprocess.Popen]:
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in range(processes):
        place = {"WORLD_SIZE": str(processes), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SCRIPT, str(folder)]
        started.append(
            subprocess.Popen(command, env=dict(os.environ) | place, stderr=subprocess.PIPE, text=True)
        )
    return started


def test_two_processes_are_one_with_the_joint_batch(tmp_path) -> None:
    for process in [*start(tmp_path / "one", 1), *start(tmp_path / "two", 2)]:
        _, said = process.communicate(timeout=240)
        assert process.returncode == 0, said[-2000:]
    one, two = (torch.load(tmp_path / name / "moves.pt", weights_only=True) for name in ("one", "two"))
    for a, b in zip(one["moves"], two["moves"], strict=True):  # of F, G and T
        assert a.norm() > 0
        assert (a - b).norm() < 2e-3 * a.norm()
    for a, b in zip(one["history"], two["history"], strict=True):
        assert a["phase"] == b["phase"]
        assert (a["L_f"], a["L_t"], a["w_a"]) == pytest.approx((b["L_f"], b["L_t"], b["w_a"]), rel=1e-5)
    assert (tmp_path / "two" / "run" / "F.safetensors").is_file()


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch) -> None:
    alone = Processes("cpu")
    assert (alone.count, alone.first, alone.part([3, 4, 5])) == (1, True, [3, 4, 5])
    monkeypatch.setattr(alone, "count", 2)
    with pytest.raises(InputError, match="a batch of 3 pairs cannot be shared by 2 processes"):
        alone.part([3, 4, 5])
