"""Contestants side by side, each in a process of its own: seconds per round, and peak memory.

The processes of a group take turns round by round, so that whatever else the machine does falls on all of
them alike; while one works, the others wait on a pipe. Peak memory belongs to a process, hence one for each.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch

from tdfusion.runs.memory import keep_freed_memory

Call = Callable[[], dict[str, np.ndarray]]  # what is timed; returns the values to compare, by name


@dataclass(frozen=True)
class Case:
    """One contestant under one setting."""

    what: str  # what is done, e.g. "meta-step"
    side: str  # who does it, e.g. "tdfusion"
    height: int  # px
    width: int  # px
    threads: int
    kept: bool  # with `tdfusion.runs.memory.keep_freed_memory`
    task: str | None = None  # T, where there is one
    batch: int = 2  # pairs


@dataclass(frozen=True)
class Measured:
    """What a process reports of its case."""

    seconds: list[float]  # per round, the first (which builds caches) left out
    peak: float  # MB, largest resident memory of the process
    before: float  # MB, resident before the first round: imports, networks and images in place
    values: dict[str, np.ndarray]


def side_by_side(
    cases: Sequence[Case], build: Callable[[Case], Call], rounds: int
) -> Iterator[dict[Case, Measured] | None]:
    """Run a group of cases in turn, ``rounds`` times after one round that does not count.

    Args:
        build: makes the call that is timed; a function of a module's top level, run in the case's process.

    Yields:
        None after every call, for a progress bar; at last what was measured, by case.

    Raises:
        RuntimeError: a process ended before its time (the message is on stderr).
    """
    context = multiprocessing.get_context("spawn")  # a fresh process: nothing inherited, all imports its own
    pipes, processes = {}, []
    for case in cases:
        pipes[case], theirs = context.Pipe()
        processes.append(context.Process(target=_serve, args=(theirs, case, build), daemon=True))
        processes[-1].start()
        theirs.close()
    try:
        seconds: dict[Case, list[float]] = {case: [] for case in cases}
        for pipe in pipes.values():
            pipe.recv()  # all are ready before the first begins
        for _ in range(rounds + 1):
            for case, pipe in pipes.items():
                pipe.send("go")
                seconds[case].append(pipe.recv())
                yield None
        found = {}
        for case, pipe in pipes.items():
            pipe.send("end")
            found[case] = Measured(seconds[case][1:], *pipe.recv())
        yield found
    except EOFError as error:
        raise RuntimeError(f"a process ended before its time, among {', '.join(map(str, cases))}") from error
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _serve(pipe: Connection, case: Case, build: Callable[[Case], Call]) -> None:
    """The life of a case's process."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("1000")  # where memory runs out, this process goes and nobody else's
    torch.set_num_threads(case.threads)
    if case.kept:
        keep_freed_memory()
    call = build(case)
    before = resident_memory()
    pipe.send("ready")
    values: dict[str, np.ndarray] = {}
    while pipe.recv() == "go":
        start = time.perf_counter()
        values = call()
        pipe.send(time.perf_counter() - start)
    pipe.send((peak_memory(), before, values))


def in_a_process(work: Callable[..., dict], *arguments: object) -> dict:
    """``work(*arguments)`` in a fresh process of its own, so that its peak memory is its own.

    Raises:
        Exception: whatever the process raised; BrokenProcessPool where it died.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        return pool.submit(work, *arguments).result()


def peak_memory() -> float:
    """Largest resident memory of this process so far, MB.

    From the kernel's own high-water mark where there is one: it belongs to the program in memory and
    starts anew with it, whereas ``ru_maxrss`` of a started process begins at its parent's.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    kilobytes = peak / 1024 if sys.platform == "darwin" else peak
    return _kilobytes("/proc/self/status", "VmHWM", kilobytes) * 1024 / 1e6


def resident_memory() -> float:
    """Resident memory of this process now, MB; where the system does not say, the largest so far."""
    return _kilobytes("/proc/self/status", "VmRSS", peak_memory() * 1e6 / 1024) * 1024 / 1e6


def available_memory() -> float:
    """MB that processes can still take without swapping; infinite where the system does not say."""
    return _kilobytes("/proc/meminfo", "MemAvailable", math.inf) * 1024 / 1e6


def _kilobytes(file: str, key: str, otherwise: float) -> float:
    if Path(file).exists():
        for line in Path(file).read_text().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return float(value.split()[0])
    return otherwise
