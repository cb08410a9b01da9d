"""Weight files: the authors' checkpoints and this project's safetensors, both read safely.

The authors publish F as a pickled state dict. It is opened with ``weights_only``, so that a file from
the network can carry numbers but no code.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tdfusion.errors import InputError
from tdfusion.files import whole_file

# Ours (left) and the authors' (right). Inside a Restormer block the second table applies.
_MODULES = {
    "encoder_a.embed": "project_in_1",
    "encoder_b.embed": "project_in_2",
    "encoder_a.blocks.0": "encoder1.0",
    "encoder_a.blocks.1": "encoder1.1",
    "encoder_b.blocks.0": "encoder2.0",
    "encoder_b.blocks.1": "encoder2.1",
    "fusion.temperature_a": "FM.temperature1",
    "fusion.temperature_b": "FM.temperature2",
    "fusion.qkv_a.point": "FM.qkv1",
    "fusion.qkv_a.depth": "FM.qkv1_dwconv",
    "fusion.qkv_b.point": "FM.qkv2",
    "fusion.qkv_b.depth": "FM.qkv2_dwconv",
    "fusion.out_a": "FM.project_mid1",
    "fusion.out_b": "FM.project_mid2",
    "fusion.gate_point": "FM.project_E",
    "fusion.gate_depth": "FM.project_E_d",
    "fusion.value_point_a": "FM.project_E1",
    "fusion.value_depth_a": "FM.project_E1_d",
    "fusion.value_point_b": "FM.project_E2",
    "fusion.value_depth_b": "FM.project_E2_d",
    "fusion.gated_out_a": "FM.project_out1",
    "fusion.gated_out_b": "FM.project_out2",
    "decoder.0": "decoder.0",
    "decoder.1": "decoder.1",
    "head.0": "project_out_0",
    "head.2": "project_out_1",
}
_IN_BLOCK = {
    "norm_attn": "norm1.body",
    "attn.temperature": "attn.temperature",
    "attn.qkv.point": "attn.qkv",
    "attn.qkv.depth": "attn.qkv_dwconv",
    "attn.out": "attn.project_out",
    "norm_ffn": "norm2.body",
    "ffn.point": "ffn.project_in",
    "ffn.depth": "ffn.dwconv",
    "ffn.out": "ffn.project_out",
}


def released_name(name: str) -> str:
    """The authors' name of one of F's parameters: ``head.0.weight`` -> ``project_out_0.weight``."""
    module, leaf = re.fullmatch(r"(.*?)(\.weight|\.bias)?", name).groups()
    for ours, theirs in _MODULES.items():
        if module == ours:
            return theirs + (leaf or "")
        if module.startswith(ours + "."):
            return f"{theirs}.{_IN_BLOCK[module[len(ours) + 1 :]]}{leaf or ''}"
    raise KeyError(name)


def read_released(path: str | Path, template: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read one of the authors' ``.pth`` files of F into our parameter names, on the CPU.

    Args:
        path: the file, for example ``TDFusion_MSRS.pth`` or ``ReFusion_IVIF.pth``.
        template: F's own state dict; gives names and shapes.

    Raises:
        InputError: no such file, not a plain state dict, or entries missing, unknown or of another
            shape; the message names them.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not a plain PyTorch state dict ({reason})") from error
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{path}: not a plain PyTorch state dict (it holds {type(found).__name__})")
    # Their convolutions register each weight twice, as X.weight and X.conv.weight, equal in value.
    twins = {k for k in found if k.endswith(".conv.weight")}
    expected = {name: released_name(name) for name in template}
    _compare(path, {theirs: template[ours].shape for ours, theirs in expected.items()}, found, ignore=twins)
    for twin in sorted(twins):
        original = twin.replace(".conv.weight", ".weight")
        if original in found and not torch.equal(found[twin], found[original]):
            raise InputError(f"{path}: {twin} and {original} should be copies of one weight but differ")
    return {ours: found[theirs] for ours, theirs in expected.items()}


def read_safetensors(path: Path, template: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read a ``.safetensors`` file of this project whose entries must be those of ``template``.

    Raises:
        InputError: missing, unreadable or other entries; the message names them.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        found = load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from error
    _compare(path, {name: tensor.shape for name, tensor in template.items()}, found)
    return found


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a ``.safetensors`` file says of itself: commit, settings.

    Raises:
        InputError: missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weight file")
    try:
        with safe_open(path, "pt") as file:
            return dict(sorted((file.metadata() or {}).items()))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({error})") from error


def write_safetensors(path: Path, net: nn.Module, metadata: Mapping[str, str] | None = None) -> None:
    """Write a network's parameters, whole or not at all; equal contents give equal bytes."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    with whole_file(path) as part:
        part.write_bytes(_canonical(save(state, metadata=dict(metadata or {}))))


def _canonical(file: bytes) -> bytes:
    """A safetensors file with its metadata in order of name: the library writes them in a random one.

    The format is the length of a JSON header (8 bytes, little-endian), the header filled up with spaces to
    a multiple of 8, and the numbers.
    """
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


def _compare(
    path: Path,
    expected: Mapping[str, torch.Size],
    found: Mapping[str, Tensor],
    ignore: Iterable[str] = (),
) -> None:
    missing = sorted(set(expected) - set(found))
    odd = sorted(set(found) - set(expected) - set(ignore))
    reshaped = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(shape)}"
        for name, shape in expected.items()
        if name in found and found[name].shape != shape
    ]
    problems = []
    if missing:
        problems.append(f"{len(missing)} of {len(expected)} entries missing ({_some(missing)})")
    if odd:
        problems.append(f"{len(odd)} unknown ({_some(odd)})")
    if reshaped:
        problems.append(f"other shapes ({_some(reshaped)})")
    if problems:
        raise InputError(f"{path}: not the weights of this network: {'; '.join(problems)}")


def _some(names: list[str], limit: int = 4) -> str:
    return ", ".join(names[:limit]) + (f", and {len(names) - limit} more" if len(names) > limit else "")
