"""The explorers in Python: what they show is what the networks gave, and what they are set to is watched."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from tdfusion.config import make_config
from tdfusion.data.pair import Pair
from tdfusion.data.synthroad.scenes import SynthRoad
from tdfusion.errors import InputError
from tdfusion.losses import gradient_loss, intensity_loss
from tdfusion.metrics import METRICS, all_metrics
from tdfusion.models import FusionNet, LossNet
from tdfusion.weights import write_safetensors

pytest.importorskip("anywidget", reason="the explorers need anywidget: pip install 'tdfusion[explorers]'")

from tdfusion.explorers import (
    DEGRADATIONS,
    FusionLens,
    LookAhead,
    LossLandscape,
    MetricPlayground,
    WeightsExplorer,
    Written,
    degrade,
    local_losses,
    read_run,
)
from tdfusion.explorers import widget as widget_module
from tdfusion.explorers.local_loss import intensity_minimum
from tdfusion.explorers.planes import plane

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    scenes = SynthRoad(split="test", length=5, size=(48, 64), seed=0)
    return [scenes[0], scenes[4]]


def save_run(folder: Path, task: str, epochs: tuple[int, ...], seed: int = 0, **settings) -> Path:
    """A run folder as training leaves it, with untrained networks."""
    folder.mkdir(parents=True)
    config = make_config("smoke", task=task, L=max(epochs), **settings)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    for epoch in epochs:
        torch.manual_seed(seed + epoch)
        for name, net in (("F", FusionNet()), ("G", LossNet())):
            file = f"snapshots/{name}_epoch{epoch:02d}.safetensors"
            write_safetensors(folder / file, net)
            if epoch == max(epochs):
                write_safetensors(folder / f"{name}.safetensors", net)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    return [
        save_run(root / "seg", "segmentation", (1, 2)),
        save_run(root / "det", "detection", (1,), seed=10),
    ]


@pytest.fixture(scope="module")
def two_tasks(runs, pairs) -> WeightsExplorer:
    return WeightsExplorer.from_runs(runs, pairs, progress=False)


@pytest.fixture
def weights(two_tasks) -> WeightsExplorer:
    two_tasks.set_state({"scene": 0, "task": "segmentation", "epoch": 2, "stretch": False, "pixel": [5, 6]})
    return two_tasks


def unpacked(packed: dict) -> np.ndarray:
    """What the browser makes of an image: (C, H, W)."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(packed["z"])), dtype=np.uint8)
    levels = raw.reshape(packed["c"], packed["h"], packed["w"]).cumsum(-1) % 256
    return packed["low"] + levels / 255 * (packed["high"] - packed["low"])


# What is shown


def test_an_image_survives_the_journey_to_the_nearest_level() -> None:
    for image in (torch.rand(1, 7, 9), torch.rand(3, 5, 4)):
        assert np.abs(unpacked(plane(image)) - image.numpy()).max() <= 0.5001 / 255
    assert unpacked(plane(torch.full((4, 4), 0.3), 0.3, 0.3)).min() == 0.3


def test_weights_and_fused_images_are_those_of_the_stored_networks(weights, runs, pairs) -> None:
    F = FusionNet.from_file(runs[0] / "F.safetensors")
    G = LossNet.from_file(runs[0] / "G.safetensors")
    (sent,) = [w for w in weights.data["written"] if (w["task"], w["epoch"]) == ("segmentation", 2)]
    for i, pair in enumerate(pairs):
        with torch.no_grad():
            w_a, w_b = G(pair.ir[None], pair.vi[None])
            I_f = F(pair.ir[None], pair.vi[None])
        step = float(w_a.max() - w_a.min()) / 510
        assert np.abs(unpacked(sent["w_a"][i]) - w_a[0].numpy()).max() <= step + 1e-6
        assert np.abs(unpacked(sent["fused"][i]) - I_f[0].numpy()).max() <= 0.5001 / 255
        weights.scene, weights.pixel = i, [5, 6]
        said = weights.reading()
        expected = (pair.ir, pair.vi, I_f[0], w_a[0], w_b[0])
        assert list(said.values()) == pytest.approx([float(image[0, 6, 5]) for image in expected], abs=1e-6)


def test_labels_and_boxes_travel_exactly(weights, pairs) -> None:
    for sent, pair in zip(weights.data["scenes"], pairs):
        assert np.array_equal(unpacked(sent["classes"])[0].round(), pair.mask)
        assert np.array_equal(unpacked(sent["optimum"])[0].round(), pair.optimum)
        assert np.allclose(np.array(sent["boxes"]).reshape(-1, 5), pair.boxes, atol=0.051)


def test_means_are_over_the_pixels_they_name(weights, pairs) -> None:
    for w, sent in zip(weights.written, weights.data["written"]):
        for w_a, pair, means in zip(w.w_a, pairs, sent["means"]):
            ids, values = pair.optimum.numpy(), w_a[0].numpy()
            assert means["everywhere"] == pytest.approx(values.mean(), abs=1e-5)
            assert means["where infrared carries the class"] == pytest.approx(
                values[ids == 1].mean(), abs=1e-5
            )
            assert means["where visible does"] == pytest.approx(values[ids == 2].mean(), abs=1e-5)


def test_the_difference_of_tasks_takes_the_nearest_epoch_before(weights) -> None:
    by = {(w.task, w.epoch): w.w_a[0] for w in weights.written}
    weights.epoch = 2
    assert torch.equal(weights.difference(), (by["segmentation", 2] - by["detection", 1]).abs())
    weights.epoch = 1
    assert torch.equal(weights.difference(), (by["segmentation", 1] - by["detection", 1]).abs())


def test_there_is_no_difference_with_one_task(runs, pairs) -> None:
    assert WeightsExplorer.from_runs(runs[:1], pairs[:1]).difference() is None


def test_the_lens_shows_the_left_image_left_of_the_divider() -> None:
    left, right = torch.zeros(1, 4, 10), torch.ones(3, 4, 10)
    seen = FusionLens({"a": {"dark": left, "light": right}}, divider=30).composed()
    assert seen.shape == (3, 4, 10)
    assert seen[:, :, :3].max() == 0 and seen[:, :, 3:].min() == 1


@pytest.fixture(scope="module")
def playground(pairs) -> MetricPlayground:
    return MetricPlayground(pairs[1], {"mean": (pairs[1].ir + pairs[1].vi) / 2})


def test_the_metrics_shown_are_those_of_the_image_shown(playground, pairs) -> None:
    def eight_bit(image: torch.Tensor) -> np.ndarray:
        return np.rint(image[0].double().numpy() * 255)

    for cell in playground.data["cells"]:
        for level in (0, 3):
            shown = unpacked(cell["images"][level])[0] * 255
            again = all_metrics(np.rint(shown), eight_bit(pairs[1].ir), eight_bit(pairs[1].vi))
            assert cell["values"][level] == pytest.approx([again[m] for m in METRICS], abs=6e-5)


def test_degradations_begin_with_the_image_itself_and_do_what_they_say(pairs) -> None:
    image = pairs[0].vi * 0.5 + 0.2
    for how, (amounts, _) in DEGRADATIONS.items():
        assert torch.allclose(degrade(image, how, amounts[0]), image, atol=1e-6)
    assert degrade(image, "blur", 2.0).diff(dim=-1).abs().mean() < image.diff(dim=-1).abs().mean()
    assert float((degrade(image, "noise", 5.0) - image).std()) == pytest.approx(5 / 255, rel=0.1)
    assert float(degrade(image, "contrast", 0.0).std()) == pytest.approx(0, abs=1e-6)
    full = degrade(image, "min-max stretch", 1.0)
    assert (float(full.min()), float(full.max())) == pytest.approx((0, 1))


@pytest.fixture(scope="module")
def look_ahead(pairs) -> LookAhead:
    """Two F with three stops; the first pushes the right way everywhere, the last the wrong way."""
    right = [(p.optimum == 1).float() - (p.optimum == 2).float() for p in pairs]
    maps = {"no": [0 * m + 1 for m in right], "right": right, "wrong": [-m for m in right]}
    seeds = {"no": [0.5, 0.5], "right": [1.0, 0.9], "wrong": [0.0, 0.1]}
    backwards = {stop: [-m for m in push] for stop, push in maps.items()}
    return LookAhead(pairs, {"F": maps, "other": backwards}, {"F": seeds, "other": seeds})


def test_the_push_on_show_is_the_one_that_was_given_and_its_signs_are_counted(look_ahead, pairs) -> None:
    for network, sign in (("F", 1), ("other", -1)):
        for stop, expected in enumerate((0.5, 1.0, 0.0)):
            look_ahead.set_state({"network": network, "stop": stop, "scene": 1})
            given = look_ahead.pushes[network][look_ahead.stops[stop]][1]
            sent = look_ahead.data["pushes"][network][stop][1]
            assert np.abs(unpacked(sent)[0] - given.numpy()).max() <= 2 / 255
            share = expected if sign == 1 or stop == 0 else 1 - expected
            assert look_ahead.reading()["scene"] == share == look_ahead.data["right"][network][stop][1]
    assert look_ahead.reading()["seeds"] == [0.0, 0.1]


def test_a_scene_without_a_preference_has_no_share(pairs) -> None:
    flat = Pair(pairs[0].ir, pairs[0].vi, "flat", optimum=torch.zeros(48, 64, dtype=torch.int64))
    explorer = LookAhead([flat], {"F": {"one": [torch.ones(48, 64)]}}, {"F": {"one": [0.5]}})
    assert explorer.data["right"] == {"F": [[None]]}
    json.loads(json.dumps(explorer.data, allow_nan=False))


# The loss of a region


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_over_the_whole_scene_the_terms_are_equations_2_and_3(pairs, variant) -> None:
    a, b = pairs[0].ir, pairs[0].vi
    values = torch.tensor([0.0, 0.3, 1.0])
    found = local_losses(a, b, a, (0, 0, 64, 48), values, 0.7, variant, mix=True)
    for i, s in enumerate(values):
        I_f, w = (s * a + (1 - s) * b)[None], torch.full((1, 1, 48, 64), 0.7)
        expected = intensity_loss(I_f, a[None], b[None], w, 1 - w, variant)
        assert float(found[0][i]) == pytest.approx(float(expected), rel=1e-4)
        assert float(found[1][i]) == pytest.approx(
            float(gradient_loss(I_f, a[None], b[None], variant)), rel=1e-4
        )


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("pixel", [(20, 10), (0, 0), (63, 47)])
def test_moving_one_pixel_changes_the_loss_of_the_image_by_its_share(pairs, variant, pixel) -> None:
    x, y = pixel
    a, b = pairs[0].ir.double(), pairs[0].vi.double()
    rest, values = (a + b) / 2, torch.tensor([0.1, 0.9], dtype=torch.double)
    _, gradient = local_losses(a, b, rest, (x, y, x + 1, y + 1), values, 0.5, variant)
    whole = []
    for value in values:
        moved = rest.clone()
        moved[0, y, x] = value
        whole.append(float(gradient_loss(moved[None], a[None], b[None], variant)) * 48 * 64)
    assert float(gradient[1] - gradient[0]) == pytest.approx(whole[1] - whole[0], abs=1e-9)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_the_minimum_of_the_intensity_term_is_where_its_curve_is_lowest(pairs, variant) -> None:
    explorer = LossLandscape(pairs, w_a=0.8, alpha=0, variant=variant, region="15 x 15 pixels")
    closed, on_curve = explorer.pulled()
    assert closed == pytest.approx(on_curve, abs=0.0026)
    assert closed == intensity_minimum(0.8, variant)
    explorer.region = "one pixel"
    closed, on_curve = explorer.pulled()
    assert closed == pytest.approx(on_curve, abs=0.0026)


def test_regions_end_at_the_border(pairs) -> None:
    explorer = LossLandscape(pairs, region="15 x 15 pixels", pixel=[2, 47])
    assert explorer.box == (0, 40, 10, 48)
    explorer.region = "the whole scene"
    assert explorer.box == (0, 0, 64, 48)


# The widget and its twin


def test_what_the_reader_moves_is_seen_in_python(weights, pairs) -> None:
    seen = []
    weights.observe(lambda change: seen.append((change.name, change.new)), ["pixel", "epoch"])
    weights.set_state({"pixel": [9, 3], "epoch": 1})  # as a message of the browser does
    assert ("pixel", [9, 3]) in seen and ("epoch", 1) in seen
    assert weights.reading()["I_a"] == float(pairs[0].ir[0, 3, 9])


def test_another_task_moves_the_epoch_to_one_it_has(weights) -> None:
    weights.epoch = 2
    weights.task = "detection"
    assert weights.epoch == 1


def test_a_pair_can_be_added_to_runs(runs, pairs) -> None:
    explorer = WeightsExplorer.from_runs(runs[:1], pairs[:1])
    explorer.add(pairs[1])
    assert explorer.scene == 1 and len(explorer.data["scenes"]) == 2
    assert explorer.reading()["I_a"] == float(pairs[1].ir[0, 24, 32])
    with pytest.raises(InputError, match="made from arrays"):
        WeightsExplorer(explorer.pairs, explorer.written).add(pairs[0])
    with pytest.raises(InputError, match=f'two scenes are named "{pairs[1].name}"'):
        explorer.add(pairs[1])
    assert len(explorer.pairs) == 2


def every(weights, playground, look_ahead, pairs) -> list:
    lens = FusionLens({p.name: {"infrared": p.ir, "visible": p.vi} for p in pairs})
    return [weights, playground, LossLandscape(pairs), lens, look_ahead]


def test_every_explorer_can_be_drawn_without_a_browser(weights, playground, look_ahead, pairs) -> None:
    panels = {
        "WeightsExplorer": 9,
        "MetricPlayground": 7,
        "LossLandscape": 3,
        "FusionLens": 1,
        "LookAhead": 5,
    }
    for explorer in every(weights, playground, look_ahead, pairs):
        assert len(explorer.static().get_axes()) == panels[type(explorer).__name__]


def test_the_static_picture_is_of_the_maps_on_show(weights) -> None:
    drawn = [axis.images[0].get_array() for axis in weights.static().axes if axis.images]
    maps = [weights.shown.I_f[0], weights.shown.w_a[0], 1 - weights.shown.w_a[0], weights.difference()]
    for image, expected in zip(drawn[2:], maps):
        assert np.array_equal(image, expected[0])


def test_the_twin_holds_the_same_state_and_loads_nothing(weights, playground, look_ahead, pairs) -> None:
    for explorer in every(weights, playground, look_ahead, pairs):
        html = explorer.html()
        text = html.partition('<script type="application/json">')[2].partition("</script>")[0]
        state = json.loads(text)
        assert state.pop("data") == explorer.data and state.pop("kind") == explorer.kind
        assert state == {name: getattr(explorer, name) for name in explorer.traits(control=True)}
        assert html.count("</script>") == 2
        for loads in ("src=", "@import", "url(", "import(", "fetch("):
            assert loads not in html
        assert html == explorer.html()
        assert "0x" not in repr(explorer)


def test_stored_outputs_hold_the_twin_alone(weights, monkeypatch) -> None:
    live, _ = weights._repr_mimebundle_()
    monkeypatch.setenv("TDFUSION_STATIC", "1")
    stored, _ = weights._repr_mimebundle_()
    assert set(live) - set(stored) == {widget_module.VIEW}
    assert set(stored) == {"text/plain", "text/html"}


def test_a_page_stays_small() -> None:
    noise = Pair(torch.rand(1, 740, 740), torch.rand(1, 740, 740), "noise")
    with pytest.raises(InputError, match=r"would add 2\.\d MB to its page, more than 2 MB"):
        LossLandscape([noise], {"more": [torch.rand(1, 740, 740)]})
    folder = Path(widget_module.__file__).parent
    assert sum((folder / name).stat().st_size for name in ("explorers.js", "explorers.css")) < 50_000


# What is refused


def test_controls_refuse_what_is_not_there(weights, playground, pairs) -> None:
    landscape = LossLandscape(pairs)
    for explorer, name, value, said in (
        (weights, "scene", 2, "scene = 2: this explorer has 0 to 1"),
        (weights, "task", "tracking", "this explorer has 'segmentation', 'detection'"),
        (weights, "epoch", 9, "epoch = 9"),
        (weights, "pixel", [64, 0], "outside the scene of 64x48 pixels"),
        (weights, "pixel", "ab", "expected two whole numbers"),
        (playground, "how", "rain", "how = 'rain'"),
        (landscape, "w_a", 1.2, "w_a = 1.2: expected a number from 0 to 1"),
        (landscape, "rest", "nothing", "rest = 'nothing'"),
    ):
        before = getattr(explorer, name)
        with pytest.raises(InputError, match=said.replace("[", r"\[")):
            setattr(explorer, name, value)
        assert getattr(explorer, name) == before
    with pytest.raises(InputError, match='unknown setting "w"'):
        LossLandscape(pairs, w=0.5)


def test_input_that_does_not_fit_is_named(pairs) -> None:
    a, b = pairs
    w = torch.rand(1, 48, 64)
    fits = Written("segmentation", "paper", 1, [w], [w])
    for make, said in (
        (lambda: LossLandscape([]), "no scene to show"),
        (lambda: LossLandscape([a, a]), f'two scenes are named "{a.name}"'),
        (lambda: LossLandscape([Pair(a.ir, b.vi[:, :9], "odd")]), 'visible of "odd" is 64x9, expected 64x48'),
        (lambda: LossLandscape([Pair(a.ir * 255, b.vi, "odd")]), 'infrared of "odd" has values from'),
        (lambda: LossLandscape([a], {"ours": [w, w]}), '"ours" has 2 images for 1 scene'),
        (lambda: WeightsExplorer([a], []), "no weights to show"),
        (lambda: WeightsExplorer([a, b], [fits]), "w_a of segmentation, epoch 1 has 1 maps for 2 scenes"),
        (lambda: WeightsExplorer([a], [fits, fits]), "epoch 1 is given 2 times"),
        (lambda: WeightsExplorer([a], [fits], task="detection"), "no weights of task detection"),
        (
            lambda: FusionLens({"a": {"infrared": a.ir}}),
            'scene "a" has the images infrared; give at least two',
        ),
        (lambda: LookAhead([a], {}, {}), "no push to show"),
        (
            lambda: LookAhead([Pair(a.ir, a.vi, "real")], {"F": {"x": [w[0]]}}, {}),
            '"real" does not say which',
        ),
        (
            lambda: LookAhead([a], {"F": {"x": [w[0]]}}, {"F": {"y": [0.5]}}),
            "F: its pushes and its seeds need",
        ),
        (lambda: LookAhead([a], {"F": {"x": [w]}}, {"F": {"x": [0.5]}}), r"F, x: maps of \[\(1, 48, 64\)\]"),
        (lambda: FusionLens({"a": {"x": a.ir, "y": a.ir[:, :5]}}), r'"y" of scene "a" is \(1, 5, 64\)'),
        (lambda: MetricPlayground(a, {}), "no fused image"),
        (lambda: MetricPlayground(a, {"ours": a.ir[0]}), r'ours of "test-00000-fog" is \(48, 64\)'),
        (lambda: degrade(a.ir, "rain", 1.0), 'no degradation "rain"'),
        (
            lambda: local_losses(a.ir, a.vi, a.ir, (0, 0, 65, 1), torch.ones(1), 0.5),
            "not inside the scene of 64x48",
        ),
    ):
        with pytest.raises(InputError, match=said):
            make()


def test_folders_that_hold_no_run_are_named(tmp_path, pairs) -> None:
    with pytest.raises(InputError, match="no run folder"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="no G to look into"):
        read_run(save_run(tmp_path / "half", "segmentation", (1,), w="half"))
    begun = save_run(tmp_path / "begun", "segmentation", (1,))
    for file in begun.rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(InputError, match="the run has not ended yet"):
        read_run(begun)
    with pytest.raises(InputError, match="at least one run folder"):
        WeightsExplorer.from_runs([], pairs)


def test_runs_of_one_task_and_variant_are_told_apart_by_their_folders(tmp_path, pairs) -> None:
    folders = [save_run(tmp_path / name, "detection", (1,)) for name in ("one", "two")]
    explorer = WeightsExplorer.from_runs(folders, pairs[:1])
    assert explorer.choices()["variant"] == ["paper (one)", "paper (two)"]
