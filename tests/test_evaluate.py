"""Folders scored, files of scores, and ours beside the paper's."""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from PIL import Image

from tdfusion.commands.evaluate import add_compare_command, add_evaluate_command
from tdfusion.data.images import read_gray
from tdfusion.errors import InputError
from tdfusion.evaluate import (
    BASELINES,
    Evaluation,
    Row,
    baselines,
    compare,
    evaluate_folder,
    evaluate_folders,
    fuse_baseline,
)
from tdfusion.fusing import fuse_files, match_pairs
from tdfusion.metrics import METRICS, UndefinedMetricWarning, all_metrics, entropy, resolve
from tdfusion.models import FusionNet
from tdfusion.results.paper import format_table, paper_table

NAMES = ("001D", "002D", "003N")


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Three gray pairs with a weighted mean as the fused image, in ir/, vi/ and ours/."""
    rng = np.random.default_rng(0)
    made = {role: tmp_path / role for role in ("ir", "vi", "ours")}
    for folder in made.values():
        folder.mkdir()
    for name in NAMES:
        A, B = rng.integers(0, 256, (2, 43, 50), dtype=np.uint8)
        for role, image in (("ir", A), ("vi", B), ("ours", A // 4 + 3 * (B // 4))):
            Image.fromarray(image).save(made[role] / f"{name}.png")
    return made


def pixels(folder: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / f"{name}.png"))


def run(folders: dict[str, Path], **settings: object) -> Evaluation:
    return evaluate_folder(folders["ir"], folders["vi"], folders["ours"], **settings)


def test_rows_are_the_metrics_and_means_their_means(folders: dict[str, Path]) -> None:
    evaluation = run(folders, convention="cddfuse")
    triples = [[pixels(folders[role], name) for role in ("ours", "ir", "vi")] for name in NAMES]
    expected = [all_metrics(*triple, "cddfuse") for triple in triples]
    ours = [row for row in evaluation.rows if row.method == "ours"]
    assert [row.image for row in ours] == list(NAMES)
    assert [row.values for row in ours] == expected
    for metric in METRICS:
        values = [row[metric] for row in expected]
        assert evaluation.mean[metric] == pytest.approx(np.mean(values))
        assert evaluation.sd[metric] == pytest.approx(np.std(values, ddof=1))
    assert evaluation.left_out == dict.fromkeys(METRICS, 0)


def test_baselines_are_always_in_the_table(folders: dict[str, Path]) -> None:
    evaluation = run(folders)
    assert evaluation.methods == (*BASELINES, "ours")
    alone = baselines(folders["ir"], folders["vi"])
    assert alone.rows == tuple(row for row in evaluation.rows if row.method != "ours")
    A, B = pixels(folders["ir"], "001D"), pixels(folders["vi"], "001D")
    mean = np.floor((A.astype(float) + B + 1) / 2).astype(np.uint8)
    np.testing.assert_array_equal(fuse_baseline("mean", A, B), mean)
    row = next(row for row in alone.rows if (row.method, row.image) == ("mean", "001D"))
    assert row.values == all_metrics(mean, A, B)
    assert alone.summary("infrared").left_out["SCD"] == 3  # the image minus itself
    assert math.isnan(alone.summary("infrared").mean["SCD"])


def test_colour_is_scored_by_its_luma(folders: dict[str, Path]) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (43, 50, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(folders["ours"] / "001D.png")
    luma = np.rint(rgb @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    row = next(row for row in run(folders, with_baselines=False).rows if row.image == "001D")
    expected = all_metrics(luma, pixels(folders["ir"], "001D"), pixels(folders["vi"], "001D"))
    assert row.values == pytest.approx(expected, abs=1e-12)


def test_workers_do_not_change_values(folders: dict[str, Path]) -> None:
    threads = torch.get_num_threads()
    assert run(folders, workers=1) == run(folders, workers=3) == run(folders)
    assert torch.get_num_threads() == threads


def test_groups_by_pattern(folders: dict[str, Path]) -> None:
    evaluation = run(folders, groups="(D|N)$")
    assert evaluation.groups == ("D", "N")
    day = evaluation.summary(group="D")
    values = [row.values["SF"] for row in evaluation.rows if row.method == "ours" and row.image != "003N"]
    assert (day.images, day.mean["SF"]) == (2, pytest.approx(np.mean(values)))
    assert run(folders, groups="(?P<night>N)|(?P<day>D)").groups == ("day", "night")
    assert run(folders, groups="^00.").groups == ("001", "002", "003")
    with pytest.raises(InputError, match=r'003N matches no group of "D".*other 2 are fine'):
        run(folders, groups="D")
    with pytest.raises(InputError, match="no regular expression"):
        run(folders, groups="(")


def missing(folders: dict[str, Path]) -> None:
    (folders["ours"] / "002D.png").unlink()


def odd(folders: dict[str, Path]) -> None:
    Image.new("L", (50, 43)).save(folders["ours"] / "004D.png")


def twice(folders: dict[str, Path]) -> None:
    Image.new("L", (50, 43)).save(folders["ours"] / "002D.bmp")


def other_size(folders: dict[str, Path]) -> None:
    Image.new("L", (43, 50)).save(folders["ours"] / "002D.png")


def too_small(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        Image.new("L", (50, 40)).save(folder / "002D.png")


def no_image(folders: dict[str, Path]) -> None:
    (folders["ours"] / "002D.png").write_text("not an image")


def cut_short(folders: dict[str, Path]) -> None:
    file = folders["ours"] / "002D.png"
    file.write_bytes(file.read_bytes()[:-900])


def no_folder(folders: dict[str, Path]) -> None:
    folders["ours"] = folders["ours"] / "nowhere"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, r"002D\.png has no fused image in .*ours; .*the other 2 are fine"),
        (odd, r"ours/004D\.png has no infrared image in .* and no visible image in .*the other 3 are fine"),
        (twice, r"002D\.(png|bmp) have the same stem"),
        (other_size, r"ours/002D\.png has 43x50 pixels, 002D\.png 50x43; .*the other 2 are fine"),
        (too_small, r"002D\.png has 50x40 pixels; at least 41 a side .*the other 2 are fine"),
        (no_image, r"ours/002D\.png: cannot be read as an image"),
        (cut_short, r"ours/002D\.png: cannot be read as an image.*the other 2 are fine"),
        (no_folder, r"nowhere: no such folder"),
    ],
)
def test_a_bad_folder_is_refused_by_name(folders: dict[str, Path], spoil: object, message: str) -> None:
    spoil(folders)
    with pytest.raises(InputError) as caught:
        run(folders)
    assert re.search(message, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_unusable_settings_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="baseline"):
        run(folders, method="max")
    with pytest.raises(InputError, match="nothing to score"):
        evaluate_folders(folders["ir"], folders["vi"], {}, with_baselines=False)
    with pytest.raises(InputError, match="workers"):
        run(folders, workers=0)
    with pytest.raises(InputError, match="no scores of"):
        run(folders).summary("theirs")


def test_one_view_at_two_resolutions(folders: dict[str, Path]) -> None:
    """The rule of ``tdfusion fuse --match``: one source is resized to the other, and F's image has that size."""
    for name in NAMES:
        with Image.open(folders["vi"] / f"{name}.png") as image:
            image.resize((100, 86), Image.Resampling.BILINEAR).save(folders["vi"] / f"{name}.png")
    with pytest.raises(
        InputError, match=r"vi/001D\.png has 100x86 pixels.*--match ir or --match vi \(the other 0"
    ):
        run(folders)
    evaluation = run(folders, match="ir")
    large = read_gray(folders["vi"] / "001D.png")
    small = nnf.interpolate(large[None], size=(43, 50), mode="bilinear", antialias=True)[0, 0]  # (43, 50)
    B = (255 * small).round().byte().numpy()
    row = next(row for row in evaluation.rows if (row.method, row.image) == ("ours", "001D"))
    assert row.values == all_metrics(pixels(folders["ours"], "001D"), pixels(folders["ir"], "001D"), B)
    assert baselines(folders["ir"], folders["vi"], match="ir").rows == evaluation.rows[:12]
    with pytest.raises(InputError, match=r"ours/001D\.png has 50x43 pixels, 001D\.png 100x86 and 2 more"):
        run(folders, match="vi")
    assert baselines(folders["ir"], folders["vi"], match="vi").summary("visible").mean["EN"] == pytest.approx(
        np.mean([entropy(pixels(folders["vi"], name)) for name in NAMES])
    )
    with pytest.raises(InputError, match='match is "visible"; choose none, ir, vi'):
        run(folders, match="visible")


@pytest.mark.parametrize("match", ["ir", "vi"])
def test_what_fuse_matches_evaluate_takes(folders: dict[str, Path], tmp_path: Path, match: str) -> None:
    for name in NAMES:
        colour = np.random.default_rng(2).integers(0, 256, (50, 60, 3), dtype=np.uint8)
        Image.fromarray(colour).save(folders["vi"] / f"{name}.png")
    fuse_files(FusionNet(), match_pairs(folders["ir"], folders["vi"], tmp_path / "out"), match=match)
    evaluation = evaluate_folder(folders["ir"], folders["vi"], tmp_path / "out", match=match, metrics=["SF"])
    assert evaluation.summary().images == 3


def test_some_metrics_only(folders: dict[str, Path], tmp_path: Path) -> None:
    evaluation = run(folders, metrics=("SSIM", "EN"))
    whole = run(folders)
    assert evaluation.metrics == ("SSIM", "EN")
    assert evaluation.mean == {metric: whole.mean[metric] for metric in ("SSIM", "EN")}
    for name in ("metrics.json", "metrics.csv"):
        (evaluation.to_json if name.endswith("json") else evaluation.to_csv)(tmp_path / name)
        assert Evaluation.read(tmp_path / name).mean == evaluation.mean
    assert "VIF" not in evaluation.table()
    assert "ours: ours" in compare([evaluation], dataset="MSRS")  # its other columns stay empty
    with pytest.raises(InputError, match='no metric "LPIPS"; choose from EN, SF'):
        run(folders, metrics=("LPIPS",))


def test_undefined_values_are_counted_and_named(folders: dict[str, Path]) -> None:
    Image.fromarray(pixels(folders["vi"], "002D")).save(folders["ours"] / "002D.png")
    with pytest.warns(UndefinedMetricWarning, match="002D: SCD is 0/0") as caught:
        evaluation = run(folders)
    assert len(caught) == 1  # the baselines' SCD is 0/0 by construction
    assert evaluation.left_out == dict.fromkeys(METRICS, 0) | {"SCD": 1}
    others = [row.values["SCD"] for row in evaluation.rows if row.method == "ours" and row.image != "002D"]
    assert evaluation.mean["SCD"] == pytest.approx(np.mean(others))
    assert "ours: SCD is 0/0 on 1 of 3 images" in evaluation.table()


def same(left: Evaluation, right: Evaluation) -> None:
    assert (left.convention, left.dataset) == (right.convention, right.dataset)
    assert [(r.method, r.image, r.group) for r in left.rows] == [
        (r.method, r.image, r.group) for r in right.rows
    ]
    values = [[[row.values[m] for m in METRICS] for row in e.rows] for e in (left, right)]
    np.testing.assert_array_equal(*values)  # NaN equals NaN here


def test_files_keep_every_digit(folders: dict[str, Path], tmp_path: Path) -> None:
    evaluation = run(folders, groups="(D|N)$", dataset="MSRS", convention="ivif_zoo")
    evaluation.to_csv(tmp_path / "runs" / "metrics.csv")
    same(Evaluation.read(tmp_path / "runs"), evaluation)
    evaluation.to_json(tmp_path / "runs" / "metrics.json", {"commit": "abc"})
    same(Evaluation.read(tmp_path / "runs"), evaluation)
    content = json.loads((tmp_path / "runs" / "metrics.json").read_text())
    assert content["provenance"] == {"commit": "abc"}
    assert content["rows"][0]["values"]["SCD"] is None
    with (tmp_path / "runs" / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * 5
    assert rows[0]["SCD"] == ""
    assert str(tmp_path) not in (tmp_path / "runs" / "metrics.json").read_text()  # no path of the machine


def test_no_half_written_file(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = baselines(folders["ir"], folders["vi"])
    target = tmp_path / "scores" / "metrics.csv"
    evaluation.to_csv(target)
    before = target.read_text()

    def fail(self: Path, *_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        Evaluation(evaluation.rows[:2], evaluation.convention).to_csv(target)
    assert target.read_text() == before
    assert [path.name for path in target.parent.iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{}"),
        ("a.json", "{"),
        ("a.csv", "x,y\n1,2\n"),
        ("a.csv", ""),
        ("a.csv", "dataset,convention,method,image,group,EN,SF,SCD,VIF,Qabf,SSIM\n,own,m,i,,1,1,1,1,1,1\n"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(str(tmp_path / name))):
        Evaluation.read(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        Evaluation.read(tmp_path / "nothing.json")
    with pytest.raises(InputError, match=r"no metrics\.json or metrics\.csv"):
        Evaluation.read(tmp_path)


def test_the_papers_tables_agree_with_each_other() -> None:
    fusion, tasks, ablations = (paper_table(number) for number in (1, 2, 3))
    assert [len(fusion.of(d)) for d in ("MSRS", "FMB", "M3FD", "LLVIP")] == [8] * 4
    assert len(tasks.rows) == 10 * 8
    ours = next(row for row in ablations.rows if row["experiment"] == "Ours")
    in_table_1 = next(row for row in fusion.of("FMB") if row["method"] == "TDFusion")
    assert {m: ours[m] for m in METRICS} == {m: in_table_1[m] for m in METRICS}
    for row in (*fusion.rows, *ablations.rows):
        assert 5 < row["EN"] < 8
        assert 5 < row["SF"] < 17
        assert all(0 < row[m] < 1 for m in ("VIF", "Qabf", "SSIM"))
        assert 0 < row["SCD"] < 2
    # "outperforms other methods ... particularly in mIoU and mAP" (Sec. 4.3); LLVIP's AP is best in infrared
    for score in ("mIoU", "mAP50", "mAP75"):
        for dataset in {row["dataset"] for row in tasks.rows if row["score"] == score}:
            best = max((r for r in tasks.of(dataset) if r["score"] == score), key=lambda r: r["value"])
            assert best["method"] == "TDFusion"
    with pytest.raises(InputError, match="no Table 4"):
        paper_table(4)


def scored(dataset: str, images: int, method: str = "ours", convention: str = "paper") -> Evaluation:
    rows = [Row(method, f"{i}", "", dict.fromkeys(METRICS, 0.25 * i)) for i in range(images)]
    return Evaluation(tuple(rows), resolve(convention), dataset)


def test_compare_says_what_differs() -> None:
    text = compare([scored("MSRS", 3), scored("MSRS", 3, "again", convention="cddfuse")])
    assert "paper: TDFusion | 6.74 | " in re.sub(" +", " ", text)
    assert "ours: ours | 0.250 ± 0.250 |" in re.sub(" +", " ", text)
    assert "ours: again [cddfuse]" in text
    assert "3 images of MSRS, the paper's rows 361: not the same set" in text
    assert "vif_reduce sum (paper: mean)" in text
    full = compare([scored("LLVIP", 347)])
    assert "as many as the paper" in full
    assert "not the same set" not in full


def test_compare_with_data_that_the_paper_has_not() -> None:
    text = compare([scored("SynthRoad", 4)])
    assert '"SynthRoad", of which Table 1 has no row' in text
    assert [line.split("|")[1].strip() for line in text.splitlines() if "paper: " in line] == [
        f"paper: TDFusion on {dataset}" for dataset in ("MSRS", "FMB", "M3FD", "LLVIP")
    ]
    assert "paper: II (without the gradient loss)" in compare([scored("", 4)], dataset="FMB", table=3)
    with pytest.raises(InputError, match="Table 2 has no fusion metrics"):
        compare([scored("FMB", 4)], table=2)
    with pytest.raises(InputError, match="nothing to compare"):
        compare([])


def test_compare_shows_repeated_baselines_once(folders: dict[str, Path]) -> None:
    text = compare([run(folders), run(folders, method="second")])
    assert text.count("ours: max ") == 1
    assert text.count("ours: second ") == 1


def test_the_commands(folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_evaluate_command(commands)
    add_compare_command(commands)
    out = tmp_path / "out"
    line = f"evaluate --ir {folders['ir']} --vi {folders['vi']} --fused {folders['ours']}"
    line += f" --csv {out}/a.csv --json {out}/metrics.json --groups D|N --workers 1 --dataset FMB"
    arguments = parser.parse_args(line.split())
    assert arguments.func(arguments) == 0
    captured = capsys.readouterr()
    assert "| ours, N " in captured.out
    assert "3/3" in captured.err  # the progress bar
    same(Evaluation.read(out / "a.csv"), run(folders, groups="D|N", dataset="FMB"))
    assert json.loads((out / "metrics.json").read_text())["provenance"]["commit"]
    arguments = parser.parse_args(["compare", str(out), str(out / "a.csv")])
    assert arguments.func(arguments) == 0
    printed = capsys.readouterr().out
    assert "paper: EMMA" in printed
    assert printed.count("ours: ours ") == 1  # the same scores twice


def test_tables_are_markdown() -> None:
    assert format_table(("a", "bb"), [("x", "1"), ("long", "10")]).splitlines() == [
        "| a    | bb |",
        "|------|---:|",
        "| x    |  1 |",
        "| long | 10 |",
    ]


def test_golden_folder_scores_as_the_golden_file(real_data: Path, tmp_path: Path) -> None:
    golden = real_data / "golden"
    pairs = json.loads((golden / "golden.json").read_text())["pairs"]
    chosen = ("RoadScene_FLIR_00211", "TNO_01")
    for role in ("ir", "vi"):
        (tmp_path / role).mkdir()
        for name in chosen:
            (tmp_path / role / f"{name}.png").symlink_to((golden / pairs[name][role]).resolve())
    evaluation = baselines(tmp_path / "ir", tmp_path / "vi")
    for fusion, method in (("mean", "mean"), ("max", "max"), ("ir", "infrared")):
        for metric in ("EN", "SF", "VIF", "Qabf", "SSIM"):
            expected = np.mean([pairs[name]["fusions"][fusion][metric] for name in chosen])
            assert evaluation.summary(method).mean[metric] == pytest.approx(expected, abs=1e-6)
