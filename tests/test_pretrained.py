"""Weights that travel: equal bytes, folders, the hub (its network replaced), the card, and what the package carries."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub.hub_mixin
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

from studies import pretrained as study
from tdfusion import pretrained
from tdfusion.commands.main import main
from tdfusion.errors import InputError
from tdfusion.metrics import METRICS
from tdfusion.models import FusionNet, LossNet
from tdfusion.pretrained.card import FACTS, model_card
from tdfusion.weights import read_metadata, released_name, write_safetensors

CARD = {name: f"<{name}>" for name in FACTS} | {
    "scores": [{"method": "F", "EN": 7.123456, "SSIM": 0.5}, {"method": "mean", "EN": 6.0, "SSIM": 0.25}],
    "limits": ["one", "two"],
}


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- files


def test_equal_weights_and_metadata_give_equal_bytes_in_any_process(tmp_path) -> None:
    """The library writes metadata in an order that differs from file to file."""
    code = """
import sys, torch
from pathlib import Path
from tdfusion.weights import write_safetensors
torch.manual_seed(1)
net = torch.nn.Linear(3, 2)
for i in range(5):
    write_safetensors(Path(f"{sys.argv[1]}-{i}.safetensors"), net, {name: name * 3 for name in sys.argv[2]})
"""
    for name, order in (("one", "abcdefghij"), ("two", "jihgfedcba")):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name), order], check=True)
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1
    assert len(list(tmp_path.iterdir())) == 10


def test_a_canonical_file_is_a_safetensors_file(tmp_path) -> None:
    F, file = FusionNet(8, 1), tmp_path / "F.safetensors"
    about = {"ü": '"quoted" \n', "commit": "abc", "": "x"}
    write_safetensors(file, F, about)
    found = safetensors.torch.load_file(file)
    assert all(torch.equal(found[name], tensor) for name, tensor in F.state_dict().items())
    assert read_metadata(file) == about and list(read_metadata(file)) == sorted(about)
    assert int.from_bytes(file.read_bytes()[:8], "little") % 8 == 0, (
        "numbers must start at a multiple of 8 bytes"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["F.safetensors"]


def test_files_written_before_are_still_read(tmp_path) -> None:
    F = FusionNet()
    safetensors.torch.save_file(F.state_dict(), tmp_path / "old.safetensors", {"commit": "1", "config": "{}"})
    assert same(FusionNet.from_file(tmp_path / "old.safetensors"), F)
    assert same(FusionNet.from_pretrained(tmp_path / "old.safetensors"), F)
    assert read_metadata(tmp_path / "old.safetensors") == {"commit": "1", "config": "{}"}


def test_metadata_of_what_is_no_weight_file_are_refused(tmp_path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(b"cut short")
    for name, words in (("absent", "no such weight file"), ("cut", "cannot be read as safetensors")):
        with pytest.raises(InputError, match=words):
            read_metadata(tmp_path / f"{name}.safetensors")


# --- folders and the hub


@pytest.mark.parametrize("kind", [FusionNet, LossNet])
def test_a_folder_keeps_the_size_of_the_network(tmp_path, kind) -> None:
    net = kind(8, 1)
    net.save_pretrained(tmp_path / "it", model_card_kwargs=CARD)
    assert json.loads((tmp_path / "it" / "config.json").read_text()) == {"width": 8, "blocks": 1}
    assert "<data_licence>" in (tmp_path / "it" / "README.md").read_text()
    again = kind.from_pretrained(tmp_path / "it")
    assert same(again, net) and not again.training


def test_a_folder_saved_without_facts_claims_none(tmp_path) -> None:
    FusionNet().save_pretrained(tmp_path)
    assert "Nothing is said here" in (tmp_path / "README.md").read_text()


def test_a_run_folder_gives_its_network(tmp_path) -> None:
    F, G = FusionNet(), LossNet()
    write_safetensors(tmp_path / "F.safetensors", F)
    write_safetensors(tmp_path / "G.safetensors", G)
    assert same(FusionNet.from_pretrained(tmp_path), F) and same(LossNet.from_pretrained(tmp_path), G)


def refused(source: object, kind: type = FusionNet) -> str:
    with pytest.raises(InputError) as caught:
        kind.from_pretrained(source)
    return str(caught.value)


def test_what_holds_no_weights_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for slip in ("runs/firts", "firts", "a/b/c", tmp_path / "nowhere"):
        assert f"{slip}: no such weight file or folder" in refused(slip)
    assert "runs/F.safetensors: no such weight file" in refused("runs/F.safetensors")
    assert "holds neither F.safetensors (a run) nor model.safetensors" in refused("runs")
    assert "LossNet" in refused(None, LossNet)
    LossNet(8, 1).save_pretrained("runs")
    assert "not the weights of this network" in refused("runs")
    Path("runs/config.json").write_text('{"width": "wide"}')
    assert refused("runs").startswith("runs: not a folder that can be read")
    Path("runs/config.json").write_text("{")
    assert refused("runs").startswith("runs: not a folder that can be read")


class Hub:
    """The hub's network: one repository that lives in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, []

    def api(self, token: str | None = None) -> Hub:
        return self

    def create_repo(self, repo_id: str, **settings: object) -> Hub:
        self.repo_id = repo_id
        return self

    def upload_folder(self, *, folder_path: Path, repo_id: str, **settings: object) -> str:
        for file in Path(folder_path).iterdir():
            (self.folder / file.name).write_bytes(file.read_bytes())
        return f"https://hub/{repo_id}/commit/1"

    def download(self, repo_id: str, filename: str, **settings: object) -> str:
        self.calls.append((repo_id, filename, settings.get("revision")))
        return str(self.folder / filename)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    (tmp_path / "remote").mkdir()
    hub = Hub(tmp_path / "remote")
    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", hub.api)
    monkeypatch.setattr(huggingface_hub.hub_mixin, "hf_hub_download", lambda **s: hub.download(**s))
    monkeypatch.setattr(pretrained, "hf_hub_download", hub.download)
    return hub


def test_the_hub_gets_weights_config_and_card_and_gives_them_back(hub) -> None:
    F = FusionNet(8, 1)
    assert F.push_to_hub("me/F", model_card_kwargs=CARD) == "https://hub/me/F/commit/1"
    assert sorted(path.name for path in hub.folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert (hub.folder / "README.md").read_text() == model_card(CARD)
    assert same(FusionNet.from_pretrained("me/F", revision="v1"), F)
    assert hub.calls == [("me/F", "config.json", "v1"), ("me/F", "model.safetensors", "v1")]


def test_nothing_is_sent_without_a_whole_card(hub) -> None:
    for facts, words in (
        ({}, 'must say "summary"'),
        (CARD | {"limits": []}, 'must say "limits"'),
        (CARD | {"price": 1}, '"price" has no place'),
        (CARD | {"scores": [{"a": 1}, {"b": 2}]}, "different columns"),
    ):
        with pytest.raises(InputError, match=words):
            FusionNet(8, 1).push_to_hub("me/F", model_card_kwargs=facts)
    assert not list(hub.folder.iterdir())


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert refused("nobody/nothing").startswith("nobody/nothing: neither here nor found on the hub")


# --- the card, and what the package carries


def test_the_card_says_all_facts_and_its_header_is_the_hub_s() -> None:
    text = model_card(CARD, "LossNet")
    for name, fact in CARD.items():
        if isinstance(fact, str):
            assert fact in text, name
    assert "| method | EN | SSIM |\n|---|---|---|\n| F | 7.123 | 0.5 |\n| mean | 6 | 0.25 |\n" in text
    assert "- one\n- two\n" in text
    header = huggingface_hub.ModelCard(text).data
    assert (header.library_name, header.license) == ("tdfusion", "agpl-3.0")


def test_the_package_carries_what_its_rule_makes(tmp_path) -> None:
    study.main(["carry", "--box", str(tmp_path)])
    for name in ("F.safetensors", "card.md"):
        assert (tmp_path / name).read_bytes() == (pretrained.BOX / name).read_bytes(), name


def test_the_rule_takes_the_best_mean_rank_and_holds_it_against_the_plain_mean() -> None:
    """By hand: EN to VIF rank "real" first, Qabf and SSIM "synthroad"; it is above the plain mean in four."""
    found = pd.DataFrame(
        {"synthroad": [1, 1, 1, 1, 9, 9], "real": [2, 2, 2, 2, 0, 0], "mean": [1.5, 1.5, 1.5, 1.5, 3, 3]},
        index=METRICS,
    ).T
    assert study.chosen(found) == ("real", True)
    found.loc["mean"] = 2.5
    assert study.chosen(found) == ("real", False)
    found.loc["real"] = found.loc["synthroad"]
    assert study.chosen(found)[0] == "synthroad"  # of equal ones the first named


def test_without_a_name_the_carried_weights_are_used(tmp_path, capsys) -> None:
    carried = FusionNet.from_file(pretrained.BOX / "F.safetensors")
    assert same(FusionNet.from_pretrained(), carried) and not FusionNet.from_pretrained().training
    for name in ("ir", "vi"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 24), dtype=np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    words = ["fuse", "--ir", tmp_path / "ir.png", "--vi", tmp_path / "vi.png", "--out", tmp_path / "out"]
    assert main([str(word) for word in words]) == 0
    assert (tmp_path / "out" / "ir.png").is_file()


# --- tdfusion convert


def test_the_authors_file_is_converted_by_a_command(tmp_path, capsys) -> None:
    F, pth, out = FusionNet(), tmp_path / "TDFusion_X.pth", tmp_path / "w" / "X.safetensors"
    torch.save({released_name(name): tensor for name, tensor in F.state_dict().items()}, pth)
    assert main(["convert", str(pth), str(out)]) == 0
    assert "59,856 parameters of TDFusion_X.pth" in capsys.readouterr().out
    assert same(FusionNet.from_pretrained(out), F)
    digest = hashlib.sha256(pth.read_bytes()).hexdigest()
    assert read_metadata(out) == {"source": "TDFusion_X.pth", "source_sha256": digest}
    (text := tmp_path / "text.pth").write_text("not a pickle")
    for words, error in (
        ([pth, out], "exists already"),
        ([pth, tmp_path / "X.pt"], "must end in .safetensors"),
        ([tmp_path / "absent.pth", tmp_path / "Y.safetensors"], "no such weight file"),
        ([text, tmp_path / "Y.safetensors"], "not a plain PyTorch state dict"),
    ):
        assert main(["convert", *map(str, words)]) == 2
        assert error in capsys.readouterr().err
    assert not (tmp_path / "Y.safetensors").exists()
    assert main(["convert", str(pth), str(out), "--overwrite"]) == 0
