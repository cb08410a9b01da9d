"""One retraining of T from images to scores, as a run folder (Sec. 4.3)."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from tdfusion.data.pair import Pair
from tdfusion.downstream.config import DownstreamConfig, first_difference
from tdfusion.downstream.prepare import open_split, prepare
from tdfusion.downstream.scores import Scores
from tdfusion.errors import InputError
from tdfusion.files import write_text
from tdfusion.runs.folder import check_free
from tdfusion.runs.provenance import Provenance

PREPARED, CHECKPOINTS = "prepared", "checkpoints"


def retrain(
    config: DownstreamConfig,
    out: str | Path,
    *,
    resume: bool = False,
    pairs: dict[str, Sequence[Pair]] | None = None,
    progress: bool = True,
) -> Scores:
    """Retrain T on one method's training images and score it on its test images.

    Leaves in ``out``: config.json, provenance.json, history.jsonl (a row per epoch), T.safetensors, scores.json,
    scores.csv (a row per class), and predictions where ``config.predictions`` asks for them. Until these are
    complete the folder also holds the images (``prepared``) and the engine's state (``checkpoints``), from
    which a run that was interrupted is resumed.

    ``config.weights`` may name T.safetensors of an earlier run with as many classes. For segmentation it may
    also be a local folder of a SegFormer in transformers' format: its encoder is taken where it is an ImageNet
    classifier (three colour channels are summed to one, which is what three equal channels would do), and the
    whole network where it segments into as many classes.

    Random states, threads and determinism of the process are afterwards what they were.

    Args:
        config: every setting.
        out: the run folder; new or empty, unless ``resume``.
        resume: go on with the interrupted run in ``out``. Its settings must be these.
        pairs: ``{"train": ..., "test": ...}`` where the pairs are in memory already.
        progress: bars on stderr.

    Returns:
        The scores, as written.

    Raises:
        InputError: ``out`` exists and is not empty; with ``resume``, it holds no run of these settings or a
            finished one; the images, labels or weights do not fit.
            All of this is found before training begins.
    """
    out = Path(out)
    if resume:
        _check_same_run(out, config)
    else:
        check_free(out)
    made = Provenance.begin(seed=config.seed, device=config.device, resumed=resume)
    with _process_state():
        engine = _engine(config)
        classes = open_split(config, "train").classes
        engine.check(config, classes)
        write_text(out / "config.json", json.dumps(config.to_dict(), indent=2) + "\n")
        prepared = prepare(config, out / PREPARED, pairs=pairs, progress=progress)
        scores, history = engine.retrain(config, prepared, out, progress)
    write_text(out / "history.jsonl", "".join(json.dumps(row) + "\n" for row in history))
    write_text(out / "provenance.json", json.dumps(made.finish(), indent=2) + "\n")
    scores.to_csv(out / "scores.csv")
    scores.to_json(out / "scores.json")  # the last: it says that the run is complete
    for folder in (PREPARED, CHECKPOINTS):
        shutil.rmtree(out / folder, ignore_errors=True)
    return scores


def _engine(config: DownstreamConfig):
    """The module that trains this task: ``check(config, classes)`` and ``retrain(...)``."""
    if config.task == "segmentation":
        from tdfusion.downstream import segmentation

        return segmentation
    from tdfusion.downstream import detection

    return detection


def _check_same_run(out: Path, config: DownstreamConfig) -> None:
    """Raises:
    InputError: ``out`` is not an interrupted run of these settings.
    """
    written = out / "config.json"
    if not written.is_file():
        raise InputError(f"{out}: no run to resume (no config.json there)")
    ours = json.loads(json.dumps(config.to_dict()))
    if difference := first_difference(ours, json.loads(written.read_text())):
        raise InputError(f"{out}: a resumed run keeps its settings ({difference})")
    if (out / "scores.json").is_file():
        raise InputError(f"{out}: this run has finished; name a new folder for another")


@contextmanager
def _process_state() -> Iterator[None]:
    """Both engines seed the whole process, and ultralytics sets threads and determinism."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    environment = {name: os.environ.get(name) for name in ("CUBLAS_WORKSPACE_CONFIG", "PYTHONHASHSEED")}
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
