"""Several methods on the same pairs: paired differences, the best marked, tables to paste, and the command."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import math
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from conftest import ROOT
from PIL import Image

from tdfusion.commands.main import main
from tdfusion.data.images import to_uint8
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.errors import InputError
from tdfusion.evaluate import BASELINES, Evaluation, Row, differences, evaluate_folder, evaluate_folders
from tdfusion.metrics import METRICS, TABLE, Convention, Metric, measure, resolve

NAMES = ("001D", "002D", "003N", "004N", "005N")


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Five gray pairs in ir/ and vi/, and their fusion by three methods: ours, theirs, old_fuse."""
    rng = np.random.default_rng(0)
    made = {role: tmp_path / role for role in ("ir", "vi", "ours", "theirs", "old_fuse")}
    for folder in made.values():
        folder.mkdir()
    for name in NAMES:
        A, B = rng.integers(0, 256, (2, 43, 50), dtype=np.uint8)
        fused = {"ours": A // 4 + 3 * (B // 4), "theirs": A // 2 + B // 2, "old_fuse": B // 3}
        for role, image in ({"ir": A, "vi": B} | fused).items():
            Image.fromarray(image).save(made[role] / f"{name}.png")
    return made


@pytest.fixture
def three(folders: dict[str, Path]) -> Evaluation:
    methods = {name: folders[name] for name in ("ours", "theirs", "old_fuse")}
    return evaluate_folders(folders["ir"], folders["vi"], methods, groups="D|N")


def made(values: dict[str, list[float]], groups: str = "") -> Evaluation:
    """An evaluation in which every metric has the given values, image by image."""
    rows = [
        Row(method, str(i), groups[i : i + 1], dict.fromkeys(METRICS, v))
        for method, of_images in values.items()
        for i, v in enumerate(of_images)
    ]
    return Evaluation(tuple(rows), resolve("paper"))


def command(folders: dict[str, Path], *more: str) -> list[str]:
    return ["evaluate", "--ir", str(folders["ir"]), "--vi", str(folders["vi"]), "--workers", "1", *more]


def test_several_methods_score_as_each_alone(folders: dict[str, Path], three: Evaluation) -> None:
    assert three.methods == (*BASELINES, "ours", "theirs", "old_fuse")
    assert three.evaluated == ("ours", "theirs", "old_fuse")
    for method in three.evaluated:
        alone = evaluate_folder(folders["ir"], folders["vi"], folders[method], groups="D|N")
        assert [row for row in three.rows if row.method in (*BASELINES, method)] == list(alone.rows)
        assert three.summary(method) == alone.summary()


@pytest.mark.parametrize("against", [None, "theirs", "max"])
@pytest.mark.parametrize("level", [0.95, 0.9])
def test_differences_are_those_of_a_paired_t_test(
    three: Evaluation, against: str | None, level: float
) -> None:
    found = differences(three, against, level)
    reference = against or "ours"
    assert {d.against for d in found} == {reference}
    methods = [method for method in three.evaluated if method != reference]
    assert [(d.group, d.method, d.metric) for d in found] == [
        (group, method, metric) for group in ("", "D", "N") for method in methods for metric in METRICS
    ]
    for d in found:
        mine, theirs = (
            [r.values[d.metric] for r in three.rows if r.method == m and d.group in ("", r.group)]
            for m in (d.method, d.against)
        )
        test = scipy.stats.ttest_rel(mine, theirs).confidence_interval(level)
        assert d.pairs == len(mine) == {"": 5, "D": 2, "N": 3}[d.group]
        assert d.mean == pytest.approx(np.mean(mine) - np.mean(theirs), abs=1e-12)
        assert (d.low, d.high) == pytest.approx((test.low, test.high), abs=1e-9)


def test_differences_leave_out_what_is_undefined_in_either() -> None:
    nan = math.nan
    found = differences(
        made({"a": [1.0, nan, 3.0, 5.0], "b": [nan, 1.0, 2.0, 7.0], "c": [nan, nan, 1.0, nan]})
    )
    by_method = {d.method: d for d in found if d.metric == "EN"}
    assert (by_method["b"].pairs, by_method["b"].mean) == (2, 0.5)  # of -1 and 2, not of two means
    assert (by_method["c"].pairs, by_method["c"].mean) == (1, -2.0)
    assert math.isnan(by_method["c"].low)
    undefined = differences(made({"a": [nan], "b": [1.0]}))[0]
    assert (undefined.pairs, math.isnan(undefined.mean)) == (0, True)
    assert differences(made({"a": [1.0]})) == []


def test_frames_of_a_sequence_count_as_one_draw() -> None:
    """Each frame twice says no more than once: the interval stays, where frames as draws would make it narrower."""
    once = made({"mean": [0.0, 0.0, 0.0], "ours": [1.0, 2.0, 4.0]})
    twice = made({"mean": [0.0] * 6, "ours": [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]})
    (first, *_), (blocks, *_), (frames, *_) = (
        differences(once, "mean"), differences(twice, "mean", block=2), differences(twice, "mean"),
    )  # fmt: skip
    assert (blocks.low, blocks.high) == pytest.approx((first.low, first.high)) and blocks.pairs == 6
    assert frames.low > blocks.low and frames.high < blocks.high
    assert "blocks of 2 frames" in twice.table(against="mean", block=2)
    assert "blocks" not in twice.table(against="mean")
    with pytest.raises(InputError, match="6 names are less than a block of 7"):
        differences(twice, "mean", block=7)


def test_unusable_references_are_refused(three: Evaluation) -> None:
    with pytest.raises(
        InputError, match='no scores of "mine"; choose infrared, visible, mean, max, ours, theirs'
    ):
        differences(three, "mine")
    with pytest.raises(InputError, match="between 0 and 1"):
        differences(three, level=95)
    with pytest.raises(InputError, match="between 0 and 1"):
        differences(made({"a": [1.0]}), level=95)  # though there is nothing to compare
    with pytest.raises(InputError, match='no format "html"; choose text, markdown'):
        three.table("html")


def test_the_best_of_the_methods_is_marked(three: Evaluation) -> None:
    lines = [line.split("|")[1:-2] for line in three.table().splitlines()[2:] if "|" in line]
    by_label = {label.strip(): cells for label, *cells in lines}
    for group in ("", "D", "N"):
        label = {m: f"{m}, {group}" if group else m for m in three.methods}
        for k, metric in enumerate(METRICS):
            means = {m: round(three.summary(m, group).mean[metric], 3) for m in three.evaluated}
            best = [m for m, mean in means.items() if mean == max(means.values())]
            marked = [m for m in three.methods if by_label[label[m]][k].strip().startswith("**")]
            assert marked == best
    assert "baselines take no part" in three.table()


def test_equal_to_the_shown_digits_is_equally_good() -> None:
    table = made({"a": [0.12341], "b": [0.12339], "c": [0.1]}).table()
    assert [line.count("**") for line in table.splitlines()[2:7]] == [12, 12, 0, 0, 0]


def test_a_metric_may_be_better_when_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, "EN", dataclasses.replace(TABLE["EN"], higher_is_better=False))
    lines = made({"a": [2.0], "b": [1.0]}).table().splitlines()
    assert ["**" in lines[row].split("|")[2] for row in (2, 3)] == [False, True]
    assert ["**" in lines[row].split("|")[3] for row in (2, 3)] == [True, False]
    assert lines[-1] == "Marked: the best mean of the methods; of EN the lowest; baselines take no part."


def test_a_further_metric_is_one_row(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def top_of(planes: np.ndarray, convention: Convention) -> tuple[float, str]:
        return float(planes[0].max()), ""

    row = Metric("Top", lambda I_f: top_of(I_f[None], Convention())[0], top_of, 2, False, "Brightest")
    monkeypatch.setitem(TABLE, "Top", row)
    methods = {name: folders[name] for name in ("ours", "theirs")}
    scores = evaluate_folders(folders["ir"], folders["vi"], methods, metrics=("Top", "VIF"))
    image = np.asarray(Image.open(folders["theirs"] / "001D.png")).astype(float)
    first = next(r for r in scores.rows if (r.method, r.image) == ("theirs", "001D"))
    assert first.values["Top"] == image.max()
    assert {d.metric for d in differences(scores)} == {"Top", "VIF"}
    assert measure(image, None, None, metrics=("Top",)).values == {"Top": image.max()}


def test_one_method_has_neither_marks_nor_differences(folders: dict[str, Path]) -> None:
    alone = evaluate_folder(folders["ir"], folders["vi"], folders["ours"])
    assert not re.search(r"\*\*|−|Marked", alone.table())
    assert "ours − max" in alone.table(against="max")


def test_markdown_and_text_hold_the_same_cells(three: Evaluation) -> None:
    markdown, text = three.table("markdown", "max"), three.table("text", "max")
    rows = [
        [cell.strip().replace("**", "") for cell in line.split("|")[1:-1]]
        for line in markdown.splitlines()
        if line.startswith("| ")
    ]
    plain = [re.split(r"  +", line.replace("*", "")) for line in text.splitlines()[: len(rows)]]
    assert [[cell for cell in row if cell] for row in rows] == plain
    assert len(rows) == 1 + 3 * (4 + 3 + 3)
    differ = next(row for row in rows if row[0] == "theirs − max, N")
    d = next(d for d in differences(three, "max") if (d.method, d.group, d.metric) == ("theirs", "N", "VIF"))
    assert differ[4] == f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]"
    assert markdown.splitlines()[-2:] == text.splitlines()[-2:]


def test_the_csv_has_every_digit(three: Evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(three.table("csv", "mean"))))
    assert len(rows) == 3 * 7 * 6
    for row in rows:
        summary = three.summary(row["method"], row["group"])
        mean = summary.mean[row["metric"]]
        assert row["mean"] == ("" if math.isnan(mean) else repr(mean))
        assert int(row["images"]) == summary.images
    (theirs,) = (r for r in rows if (r["method"], r["group"], r["metric"]) == ("theirs", "", "SF"))
    d = next(d for d in differences(three, "mean") if (d.method, d.metric) == ("theirs", "SF"))
    assert [float(theirs[k]) for k in ("difference", "low", "high")] == [d.mean, d.low, d.high]
    assert (theirs["against"], theirs["pairs"]) == ("mean", "5")
    assert rows[0]["against"] == ""


def test_latex_escapes_names(three: Evaluation) -> None:
    lines = three.table("latex").splitlines()
    assert lines[:2] == [r"\begin{tabular}{lrrrrrrr}", r"\toprule"]
    assert any(line.startswith(r"old\_fuse $-$ ours ") for line in lines)
    assert not any(re.search(r"-\d", line) for line in lines)
    assert any(r"\textbf{" in line and r" $\pm$ " in line for line in lines)
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert all(line.count(" & ") == 7 and line.endswith(r" \\") for line in body)
    assert all(line.startswith("% ") for line in lines[lines.index(r"\end{tabular}") + 1 :])
    odd = made({"a\\b {50%} x_y^2~#&$": [1.0]}).table("latex").splitlines()[4]
    escaped = r"a\textbackslash{}b \{50\%\} x\_y\textasciicircum{}2\textasciitilde{}\#\&\$"
    assert odd.startswith(escaped)


def test_the_command_scores_several_methods(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "scores"
    fused = [str(folders["ours"]), str(folders["theirs"])]
    line = command(folders, "--fused", *fused, "--dataset", "MSRS", "--json", f"{out}/metrics.json")
    assert main([*line, "--csv", f"{out}/a.csv", "--method", "A", "B", "--against", "max"]) == 0
    printed = capsys.readouterr().out
    assert "| B − max " in printed
    assert Evaluation.read(out / "a.csv").mean == Evaluation.read(out).mean
    assert json.loads((out / "metrics.json").read_text())["summaries"][-1]["method"] == "B"
    assert main(["compare", str(out)]) == 0
    printed = capsys.readouterr().out
    assert [printed.count(f"ours: {name} ") for name in (*BASELINES, "A", "B")] == [1] * 6
    assert "5 images of MSRS, the paper's rows 361" in printed
    for format, start in (
        ("csv", "dataset,convention,"),
        ("latex", "% convention paper"),
        ("text", "convention"),
    ):
        assert main([*line, "--format", format, "--metrics", "EN", "SF"]) == 0
        assert capsys.readouterr().out.startswith(start)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["ours", "copy/ours"],
            r'ours and .*copy/ours would both be called "ours"; name each method: --method',
        ),
        (["ours", "theirs", "--method", "A"], "1 names for 2 folders"),
        (["ours", "theirs", "--method", "A", "A"], 'would both be called "A"'),
        (["ours", "theirs", "--method", "A", "max"], '"max" is the name of a baseline'),
        (["ours", "theirs", "--against", "A"], r"--against A: no such method; choose .*max, ours, theirs"),
        (["ours", "theirs", "--metrics", "psnr"], r'no metric "psnr" \(did you mean "PSNR"\?\)'),
        (["ours", "theirs", "--metrics", "all"], "at least 176 a side are needed"),
        (
            ["ours", "lacking"],
            r"ir/002D\.png has no fused image of lacking in .*lacking and 2 more like it; .*2 are fine",
        ),
        (["ours", "gone"], "gone: no such folder"),
        (["ours", "--block", "4"], "2 names that end in D are less than a block of 4"),
        (["ours", "--block", "0"], "--block 0: give at least 1"),
        (["ours", "other"], r"other/003N\.png has 50x50 pixels, 003N\.png 50x43; .*the other 4 are fine"),
    ],
)
def test_what_the_command_refuses(
    folders: dict[str, Path], capsys: pytest.CaptureFixture, more: list[str], message: str
) -> None:
    root = folders["ours"].parent
    shutil.copytree(folders["ours"], root / "copy" / "ours")
    shutil.copytree(folders["ours"], root / "lacking", ignore=lambda *_: ["002D.png", "003N.png", "005N.png"])
    shutil.copytree(folders["ours"], root / "other")
    Image.new("L", (50, 50)).save(root / "other" / "003N.png")
    places = [
        word if word.isdigit() or word[0] == "-" else str(root / word) if k < 2 else word
        for k, word in enumerate(more)
    ]
    assert main(command(folders, "--fused", *places)) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert error.count("\n") == 1


def test_the_command_takes_frames_for_one_draw(folders: dict[str, Path], capsys) -> None:
    assert main(command(folders, "--fused", str(folders["ours"]), "--against", "mean", "--block", "2")) == 0
    assert "blocks of 2 frames" in capsys.readouterr().out


def test_undefined_values_name_the_method(folders: dict[str, Path]) -> None:
    shutil.copy(folders["vi"] / "002D.png", folders["theirs"] / "002D.png")
    methods = {name: folders[name] for name in ("ours", "theirs")}
    with pytest.warns(UserWarning, match="002D: SCD of theirs is 0/0"):
        evaluation = evaluate_folders(folders["ir"], folders["vi"], methods)
    (scd,) = (d for d in differences(evaluation) if d.metric == "SCD")
    assert scd.pairs == 4


def test_the_commands_of_the_page_and_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """In the order of the page, on the scenes it speaks of; the output shown is the output."""
    scenes = SynthRoad(split="test", length=8, size=(96, 128), seed=0)
    for k in range(len(scenes)):
        A, B = to_uint8(scenes[k].ir), to_uint8(scenes[k].vi)
        mean = (A.astype(float) + B) / 2
        stretched = np.rint(255 * (mean - mean.min()) / np.ptp(mean)).astype(np.uint8)
        images = {
            "test/ir": A,
            "test/vi": B,
            "results/stretched": stretched,
            "results/darker": np.minimum(A, B),
        }
        alias = {"results/ours": stretched, "ir": A, "vi": B, "fused": stretched, "other": np.minimum(A, B)}
        for folder, image in (images | alias).items():
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / folder / f"{k:03}.png")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "book" / "use" / "score.md").read_text()
    blocks = [text for _, text in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.S | re.M)] + [""]
    readme = (ROOT / "README.md").read_text().splitlines()
    blocks += [line.removeprefix(".venv/bin/") for line in readme if " evaluate " in line]
    ran = 0
    for text, after in itertools.pairwise([*blocks, ""]):
        if not text.startswith("tdfusion "):
            continue
        if "theirs.json" in text:
            shutil.copy("ours.json", "theirs.json")
        assert main(shlex.split(text, comments=True)[1:]) == 0
        printed = capsys.readouterr().out
        if "--format text" in text:
            assert after == printed
        ran += 1
    assert ran == 6
