"""Detection as T: ultralytics' network and loss, nothing of it stale, nothing of it phoning home."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.func import functional_call
from torchvision.ops import box_iou

from tdfusion.config import make_config
from tdfusion.data.pair import Batch
from tdfusion.errors import InputError
from tdfusion.losses import fusion_loss
from tdfusion.meta import inner_update_T, meta_gradient, values
from tdfusion.models import FusionNet, LossNet
from tdfusion.reference.double_backward import plain_meta_gradient
from tdfusion.tasks import build_task
from tdfusion.tasks.detection import PADDING, DetectionTask, import_ultralytics
from tdfusion.train import Trainer

TWO = torch.tensor(
    [[2.0, 10, 4, 50, 30], [0.0, 40, 30, 62, 47]]
)  # even classes: halved they are classes again
NONE = torch.zeros(0, 5)
ONE = torch.tensor([[2.0, 3, 12, 30, 44]])


@pytest.fixture(scope="module")
def trained_a_little() -> DetectionTask:
    """Two steps away from the start, so that batch norm's buffers are not those of a new network."""
    torch.manual_seed(0)
    task = DetectionTask(3)
    optimiser = torch.optim.Adam(task.parameters(), lr=1e-3)
    for _ in range(2):
        task(*images_and_boxes(TWO, ONE)).backward()
        optimiser.step()
    optimiser.zero_grad()
    return task


@pytest.fixture
def task(trained_a_little: DetectionTask) -> DetectionTask:
    return copy.deepcopy(trained_a_little)


def images_and_boxes(
    *boxes: Tensor, size: tuple[int, int] = (64, 64), dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Batch]:
    ir, vi = torch.rand(2, len(boxes), 1, *size, dtype=dtype)
    return (ir + vi) / 2, Batch(ir, vi, tuple(f"scene {i}" for i in range(len(boxes))), boxes=boxes)


def as_ultralytics_has_it(I_f: Tensor, boxes: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Image index, class and relative centre and size, row by row: what its own loader would hand out."""
    height, width = I_f.shape[-2:]
    rows = [
        [i, c, (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        for i, of_image in enumerate(boxes)
        for c, x1, y1, x2, y2 in of_image.tolist()
    ]
    table = torch.tensor(rows).reshape(-1, 6)
    return {"img": I_f, "batch_idx": table[:, 0], "cls": table[:, 1], "bboxes": table[:, 2:]}


def tensors(task: DetectionTask) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in task.state_dict().items()}


def flat(gradient: dict[str, Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in gradient.values()])


# --- the network and its loss


def test_the_network_is_ultralytics_own_yolov8n() -> None:
    task = DetectionTask(80)
    from ultralytics.nn.tasks import DetectionModel

    theirs = DetectionModel("yolov8n.yaml", ch=1, nc=80, verbose=False)
    shapes = [{name: t.shape for name, t in net.state_dict().items()} for net in (task.network, theirs)]
    assert shapes[0] == shapes[1]
    # 3,157,200 is in ultralytics' own file, for three input channels of which one convolution of 16 3x3 has two less
    assert sum(p.numel() for p in task.parameters()) == 3_157_200 - 2 * 16 * 9


def test_the_gains_are_the_defaults_that_ultralytics_documents() -> None:
    gains = DetectionTask(1).network.args
    from ultralytics.utils import DEFAULT_CFG

    assert (gains.box, gains.cls, gains.dfl) == (7.5, 0.5, 1.5)
    assert (gains.box, gains.cls, gains.dfl) == (DEFAULT_CFG.box, DEFAULT_CFG.cls, DEFAULT_CFG.dfl)


@pytest.mark.parametrize("training", [True, False])
def test_L_t_is_ultralytics_loss_over_the_batch_size(task: DetectionTask, training: bool) -> None:
    I_f, batch = images_and_boxes(TWO, NONE, ONE, size=(64, 96))
    theirs = copy.deepcopy(task.network).train(training)
    parts, items = theirs.loss(as_ultralytics_has_it(I_f, batch.boxes))
    L_t = task.train(training)(I_f, batch)
    torch.testing.assert_close(L_t, parts.sum() / 3, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        L_t, sum(items.values()), rtol=1e-6, atol=0
    )  # box + cls + dfl, as it logs them


def test_other_sizes_are_filled_up_with_gray_and_boxes_stay(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE, size=(50, 70))
    filled = torch.full((2, 1, 64, 96), PADDING)
    filled[..., :50, :70] = I_f
    parts, _ = copy.deepcopy(task.network).loss(as_ultralytics_has_it(filled, batch.boxes))
    torch.testing.assert_close(task(I_f, batch), parts.sum() / 2, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-3), (torch.float64, 1e-10)])
def test_without_any_box_L_t_is_the_cross_entropy_against_nothing(task, dtype, rtol: float) -> None:
    I_f, batch = images_and_boxes(NONE, NONE, dtype=dtype)
    task.to(dtype).eval()
    scores = task.network(I_f)[1]["scores"]  # (2, 3, cells)
    L_t = task(I_f, batch)
    assert L_t.dtype == dtype and torch.get_default_dtype() == torch.float32
    # in float64 this fails where the loss is rounded to float32 on the way
    torch.testing.assert_close(L_t, 0.5 * nnf.softplus(scores).sum(), rtol=rtol, atol=0)


def slopes(task: DetectionTask, I_f: Tensor, batch: Batch) -> tuple[float, float]:
    """dL_t along a random change of the images: by the gradient, and by a central difference."""
    direction, h = torch.randn_like(I_f), 1e-7
    (gradient,) = torch.autograd.grad(task(I_f.requires_grad_(), batch), I_f)
    with torch.no_grad():
        difference = task(I_f + h * direction, batch) - task(I_f - h * direction, batch)
    return (gradient * direction).sum().item(), difference.item() / (2 * h)


def test_without_boxes_the_gradient_is_that_of_finite_differences(task: DetectionTask) -> None:
    exact, measured = slopes(task.double(), *images_and_boxes(NONE, NONE, dtype=torch.float64))
    assert exact == pytest.approx(measured, rel=1e-5)


def test_with_boxes_it_is_so_where_the_targets_are_held(task: DetectionTask, monkeypatch) -> None:
    from ultralytics.utils.tal import TaskAlignedAssigner

    I_f, batch = images_and_boxes(TWO, ONE, dtype=torch.float64)
    exact, measured = slopes(task.double(), I_f, batch)
    assert exact != pytest.approx(measured, rel=0.5)
    assign = TaskAlignedAssigner.forward
    assigned: list[tuple[Tensor, ...]] = []

    def assign_once(assigner: TaskAlignedAssigner, *arguments: Tensor) -> tuple[Tensor, ...]:
        if not assigned:
            assigned.append(assign(assigner, *arguments))
        return assigned[0]

    monkeypatch.setattr(TaskAlignedAssigner, "forward", assign_once)
    exact, measured = slopes(task, I_f, batch)
    assert exact == pytest.approx(measured, rel=0.03)  # not closer: the alpha of CIoU is a constant as well


def test_float64_agrees_with_float32(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE)
    L_t = task(I_f, batch).item()
    assert task.double()(I_f.double(), batch).item() == pytest.approx(L_t, rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE)
    task.double().eval()
    L_t, found = task(I_f.double(), batch), task.predict(I_f.double(), confidence=0)
    task.cuda()
    on_gpu = task.predict(I_f.double().cuda(), confidence=0)
    assert task(I_f.double().cuda(), batch.to("cuda")).item() == pytest.approx(L_t.item(), rel=1e-9)
    torch.testing.assert_close([rows.cpu() for rows in on_gpu], found)


# --- as T of Algorithm 1


def test_the_loss_is_that_of_the_replaced_parameters_and_buffers(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE)
    other = DetectionTask(3)
    for network in (task, other):
        network(I_f, batch).backward()  # whatever a call leaves behind, it must not be used in the next
    before, real = tensors(task), [p.grad.clone() for p in task.parameters() if p.grad is not None]
    for mode in (True, False):
        theta = {name: p.clone().requires_grad_() for name, p in values(other).items()}
        buffers = {name: b.clone() for name, b in other.named_buffers()}
        found = functional_call(task.train(mode), (theta, buffers), (I_f, batch))
        gradient = torch.autograd.grad(found, list(theta.values()), allow_unused=True)
        other.zero_grad()
        expected = other.train(mode)(I_f, batch)
        expected.backward()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
        for (name, parameter), g in zip(other.named_parameters(), gradient, strict=True):
            if g is None:
                assert name == "network.model.22.dfl.conv.weight"  # the 16 bin numbers, not trained
            else:
                torch.testing.assert_close(g, parameter.grad)
    assert all(torch.equal(before[name], tensor) for name, tensor in task.state_dict().items())
    kept = [p.grad for p in task.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(kept, real, strict=True))


def test_T_prime_takes_a_step_down_and_leaves_T(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE, dtype=torch.float64)
    before = tensors(task.double())
    theta, L_t = inner_update_T(task, I_f, batch, 1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in task.state_dict().items())
    still = [name for name in theta if torch.equal(theta[name], before[name])]
    assert all(name.startswith("network.model.22.") for name in still)  # levels of the head without a box
    assert functional_call(task, theta, (I_f, batch)) < L_t


@pytest.mark.parametrize("training", [True, False])
def test_forward_mode_equals_double_backward_and_T_stays_bit_for_bit(task, training: bool) -> None:
    F, G = FusionNet(width=8, blocks=1).double(), LossNet(width=8, blocks=1).double()
    task.double().train(training)
    before = tensors(task)
    _, mtr = images_and_boxes(TWO / 2, ONE / 2, size=(32, 32), dtype=torch.float64)
    _, mts = images_and_boxes(ONE / 2, TWO / 2, size=(32, 32), dtype=torch.float64)
    steps = {"loss": fusion_loss, "eta_F_prime": 0.1, "eta_T_prime": 1e-4}
    forward = meta_gradient(F, G, task, mtr, mts, **steps).theta_G
    found = [flat(g) for g in (forward, plain_meta_gradient(F, G, task, mtr, mts, **steps))]
    assert found[1].norm() > 0
    assert (found[0] - found[1]).norm() / found[1].norm() < 1e-12
    after = task.state_dict()
    assert any("running_var" in name for name in after) and before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in after)
    assert all(p.grad is None for p in task.parameters())


@pytest.mark.parametrize("T_prime_update", ["gradient", "adam"])
def test_algorithm_1_runs_with_detection(T_prime_update: str) -> None:
    config = make_config(
        "smoke", task="detection", L=1, M=1, N=2, scenes=8, T_prime_update=T_prime_update
    )  # fmt: skip
    trainer = Trainer(config)
    assert isinstance(trainer.T, DetectionTask) and trainer.T.classes == len(trainer.pairs.classes)
    trainer.run(progress=False)
    assert [row["phase"] for row in trainer.history] == ["meta", "fusion", "fusion"]
    assert all(np.isfinite([row["L_f"], row["L_t"]]).all() for row in trainer.history)
    assert trainer.history[0]["G_gradient"] > 0


# --- predictions


def test_it_learns_to_find_what_the_labels_say() -> None:
    labels = (torch.tensor([[1.0, 10, 5, 50, 30]]), torch.tensor([[0.0, 40, 20, 90, 60]]))
    I_f = torch.full((2, 1, 64, 96), 0.3)
    I_f[0, 0, 5:30, 10:50], I_f[1, 0, 20:60, 40:90] = 0.9, 0.0
    task, batch = DetectionTask(2), Batch(I_f, I_f, ("bright", "dark"), boxes=labels)
    for module in task.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.3  # ten times its own: few steps have to do
    optimiser = torch.optim.Adam(task.parameters(), lr=2e-3)
    for _ in range(30):
        optimiser.zero_grad()
        task(I_f, batch).backward()
        optimiser.step()
    for rows, label in zip(task.predict(I_f), labels, strict=True):
        assert rows[0, 0] == label[0, 0]
        assert box_iou(rows[:1, 2:], label[:, 1:]) > 0.8


def test_predictions_are_decoded_and_suppressed_as_yolov8_defines_them(task: DetectionTask) -> None:
    I_f = torch.rand(2, 1, 50, 70, dtype=torch.float64)
    task.double().eval()
    filled = nnf.pad(I_f, (0, 96 - 70, 0, 64 - 50), value=PADDING)
    with torch.no_grad():
        raw = task.network(filled)[1]
    cells = torch.tensor(
        [
            (s * (x + 0.5), s * (y + 0.5), s)
            for s in (8, 16, 32)
            for y in range(64 // s)
            for x in range(96 // s)
        ],
        dtype=torch.float64,
    )
    probabilities = raw["boxes"].reshape(2, 4, 16, -1).softmax(2)
    sides = (probabilities * torch.arange(16.0).view(1, 1, 16, 1)).sum(2) * cells[
        :, 2
    ]  # px: left top right bottom
    corners = torch.cat([cells[:, :2].T - sides[:, :2], cells[:, :2].T + sides[:, 2:]], 1)  # (2, 4, cells)
    scores, kinds = raw["scores"].sigmoid().max(1)  # (2, cells) each
    threshold = scores.median().item()
    for i, found in enumerate(task.predict(I_f, confidence=threshold, iou=0.5)):
        kept: list[int] = []
        for k in scores[i].argsort(descending=True).tolist():
            rivals = [j for j in kept if kinds[i, j] == kinds[i, k]]
            overlaps = box_iou(corners[i, :, [k]].T, corners[i, :, rivals].T)
            if scores[i, k] > threshold and not (overlaps > 0.5).any():
                kept.append(k)
        limits = torch.tensor([70, 50, 70, 50])
        expected = torch.cat(
            [kinds[i, kept, None], scores[i, kept, None], corners[i, :, kept].T.clamp(min=0).minimum(limits)],
            1,
        )
        assert 1 < len(kept) < (scores[i] > threshold).sum()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-6)


def test_predicting_changes_neither_mode_nor_buffers(task: DetectionTask) -> None:
    task.train()
    task.network.model[0].eval()
    before = tensors(task)
    found = task.predict(torch.rand(2, 1, 64, 64), confidence=0.9)
    assert [rows.shape for rows in found] == [(0, 6), (0, 6)]
    assert task.training and task.network.training and not task.network.model[0].training
    assert all(torch.equal(before[name], tensor) for name, tensor in task.state_dict().items())


def test_predicting_in_inference_mode_does_not_spoil_a_later_gradient(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE)
    with torch.inference_mode():
        task.predict(I_f)
    task.eval()(I_f, batch).backward()
    assert task.network.model[0].conv.weight.grad.abs().max() > 0


# --- input that cannot be right


def test_a_batch_without_boxes_is_refused(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(TWO, ONE)
    with pytest.raises(InputError, match="scene 0, scene 1: no detection boxes"):
        task(I_f, Batch(batch.ir, batch.vi, batch.names))


@pytest.mark.parametrize("wrong", [3.0, -1.0])
def test_a_class_that_the_task_does_not_have_is_named(task: DetectionTask, wrong: float) -> None:
    I_f, batch = images_and_boxes(TWO, torch.tensor([[wrong, 3, 3, 20, 20]]))
    with pytest.raises(InputError, match=rf"scene 1: box classes \[{int(wrong)}\].* 0 to 2"):
        task(I_f, batch)


def test_one_smallest_image_is_refused_in_training_only(task: DetectionTask) -> None:
    I_f, batch = images_and_boxes(torch.tensor([[0.0, 3, 3, 20, 20]]), size=(32, 24))
    with pytest.raises(InputError, match="scene 0: one image of at most 32x32"):
        task(I_f, batch)
    assert task.eval()(I_f, batch) > 0


def test_other_bad_settings_are_named(task: DetectionTask) -> None:
    with pytest.raises(InputError, match="iou = 70"):
        task.predict(torch.rand(1, 1, 32, 32), iou=70)
    with pytest.raises(InputError, match="classes = 0"):
        DetectionTask(0)
    with pytest.raises(InputError, match='unknown task "pose"'):
        build_task("pose", 3)


# --- nothing phones home

IN_A_FRESH_PROCESS = """
import socket, os, subprocess, sys, warnings

def refuse(*arguments, **named):
    os.write(2, f"reached out: {arguments}".encode())
    os._exit(3)  # an exception could be swallowed

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)

import numpy as np
import torch
from PIL import Image
torch.set_num_threads(1)

def state():
    return (torch.save, Image.open, str(torch.rand(2) * 0 + 1 / 3), torch.get_default_dtype(), np.get_printoptions(),
            list(warnings.filters), str(torch.arange(90)),
            {k: v for k, v in os.environ.items() if not k.startswith("YOLO_")})

from tdfusion.data.pair import Batch
from tdfusion.tasks.detection import DetectionTask
assert "ultralytics" not in sys.modules, "imported with the module"
subprocess.Popen.__init__ = refuse  # nothing is installed either
before = state()
task = DetectionTask(1)
assert [a == b for a, b in zip(before, state())] == [True] * 8, (before, state())
I = torch.rand(2, 1, 32, 32)
boxes = torch.tensor([[0.0, 3, 3, 20, 20]])
task(I, Batch(I, I, ("p", "q"), boxes=(boxes, boxes))).backward()
task.predict(I)

from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS, SETTINGS_FILE
from ultralytics.utils.events import Events
assert not ONLINE and not AUTOINSTALL and not Events().enabled
assert not SETTINGS["sync"] and True not in SETTINGS.values()
assert SETTINGS_FILE.is_file()
print(SETTINGS_FILE)
"""


def test_offline_silent_and_nothing_left_behind(tmp_path: Path) -> None:
    home, scratch, here = (tmp_path / name for name in ("home", "scratch", "here"))
    for folder in (home, scratch, here):
        folder.mkdir()
    keep = {
        k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "ULTRALYTICS_", "XDG_", "PYTEST"))
    }
    keep.pop("OMP_NUM_THREADS", None)
    environment = keep | {
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "MPLCONFIGDIR": str(home),
    }
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS], cwd=here, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert Path(done.stdout.strip()).is_relative_to(scratch)  # printed nothing but this
    for folder in (home, scratch, here):
        assert list(folder.rglob("*")) == []


def test_settings_of_an_earlier_import_change_in_memory_alone(task: DetectionTask, monkeypatch) -> None:
    from ultralytics.utils import SETTINGS

    dict.update(SETTINGS, sync=True)
    monkeypatch.setattr(SETTINGS, "_save", lambda: pytest.fail("wrote the user's settings"))
    import_ultralytics.__wrapped__()
    assert SETTINGS["sync"] is False
