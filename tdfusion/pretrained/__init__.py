"""Weights that travel: in this folder, which is part of the package; in any folder; on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from tdfusion.errors import InputError
from tdfusion.pretrained.card import check_facts, model_card
from tdfusion.weights import read_safetensors, write_safetensors

BOX = Path(__file__).parent  # F.safetensors, and card.md, which says what it is
_FILE = "model.safetensors"  # the hub's name for the weights


class Pretrained(PyTorchModelHubMixin):
    """What F and G have in common: `from_pretrained`, ``save_pretrained`` and `push_to_hub`."""

    letter: ClassVar[str]  # the network's name in the paper, and of its file in a run folder

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, **hub: Any) -> Self:
        """The network with trained weights, on the CPU, in eval mode.

        Args:
            source: None: the weights that the package carries (F alone; their card is
                ``tdfusion/pretrained/card.md``). A weight file; a folder of ``save_pretrained``; a run folder;
                or a repository of the Hugging Face hub, ``"owner/name"``.
            **hub: for the hub: ``revision``, ``token``, ``cache_dir``, ``force_download``, ``local_files_only``.

        Raises:
            InputError: there is nothing of that name, or it holds other weights.
        """
        path = BOX if source is None else Path(source)
        own = path / f"{cls.letter}.safetensors"
        if source is None and not own.is_file():
            raise InputError(
                f"tdfusion carries no weights of {cls.__name__}; name a file, a folder or a hub id"
            )
        if own.is_file():
            return cls.from_file(own)
        if path.suffix in (".safetensors", ".pth", ".pt") or path.is_file():
            return cls.from_file(path)
        if path.is_dir() and not (path / _FILE).is_file():
            raise InputError(f"{path}: holds neither {own.name} (a run) nor {_FILE} (save_pretrained)")
        if not path.is_dir() and (
            len(path.parts) != 2 or path.parent.is_dir()
        ):  # a slip of the pen, no hub id
            raise InputError(f"{path}: no such weight file or folder")
        try:
            return super().from_pretrained(source, **hub)
        except InputError:
            raise
        except (HfHubHTTPError, HFValidationError, OSError, ValueError, TypeError) as error:
            where = "not a folder that can be read" if path.is_dir() else "neither here nor found on the hub"
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{source}: {where} ({reason})") from error

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any], **hub: Any) -> str:
        """Send weights, config and a model card to the Hugging Face hub.

        Args:
            repo_id: "owner/name".
            model_card_kwargs: what the card says; all of ``tdfusion.pretrained.card.FACTS``.
            **hub: ``private``, ``token``, ``branch``, ``commit_message`` and others of ``PyTorchModelHubMixin``.

        Returns:
            The address of the commit.

        Raises:
            InputError: the card would be incomplete; nothing is sent.
        """
        check_facts(model_card_kwargs)
        return super().push_to_hub(repo_id, model_card_kwargs=model_card_kwargs, **hub)

    def generate_model_card(self, **facts: Any) -> ModelCard:
        """The card of ``save_pretrained`` and `push_to_hub`; without facts it says that nothing is known."""
        if not facts:
            return ModelCard(
                f"# {type(self).__name__} of tdfusion\n\nNothing is said here about these weights.\n"
            )
        return ModelCard(model_card(facts, type(self).__name__))

    def _save_pretrained(self, save_directory: Path) -> None:
        write_safetensors(save_directory / _FILE, self, {"format": "pt"})

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **settings: Any) -> Self:
        """``settings``: of the download, which the hub's own class names, and of the network."""
        of_hub = ("revision", "cache_dir", "force_download", "local_files_only", "token")
        download = {name: settings.pop(name) for name in of_hub}
        if Path(model_id).is_dir():
            file = Path(model_id) / _FILE
        else:
            file = Path(hf_hub_download(model_id, _FILE, **download))
        net = cls(**settings)
        net.load_state_dict(read_safetensors(file, net.state_dict()))
        return net.eval()
