"""The model card: what weights are, from which data and run, how they score, and where they stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCardData

from tdfusion.errors import InputError

FACTS = {
    "summary": "what these weights are, in a sentence",
    "data": "the training data: which, how many pairs, of what size",
    "data_licence": "the licence of the training data",
    "recipe": "the command, or the settings, that trained them",
    "seed": "the seed of the run",
    "commit": "the commit that it ran at",
    "scored_on": "which images the scores are of, and by which convention",
    "scores": "rows of the table: mappings with the same keys, the first of which names the row",
    "limits": "what they are not good for, a list of sentences",
}
_DATA = ModelCardData(
    library_name="tdfusion",
    license="agpl-3.0",
    pipeline_tag="image-to-image",
    tags=["image-fusion", "infrared", "thermal"],
)


def check_facts(facts: Mapping[str, Any]) -> None:
    """All of `FACTS`, nothing else.

    Raises:
        InputError: one is missing or empty, or is none of them; or rows of the scores differ in columns.
    """
    for name, meaning in FACTS.items():
        if facts.get(name) in (None, "", (), []):
            raise InputError(f'a model card must say "{name}": {meaning}')
    for name in facts:
        if name not in FACTS:
            raise InputError(f'"{name}" has no place on a model card; it takes {", ".join(FACTS)}')
    columns = {tuple(row) for row in facts["scores"]}
    if len(columns) > 1:
        raise InputError(f"rows of the scores have different columns: {sorted(columns)}")


def model_card(facts: Mapping[str, Any], network: str = "FusionNet") -> str:
    """The card as Markdown, with the header that the Hugging Face hub reads.

    Args:
        facts: what to say, by the names of `FACTS`.
        network: "FusionNet" or "LossNet".

    Raises:
        InputError: see `check_facts`.
    """
    check_facts(facts)
    limits = "\n".join(f"- {sentence}" for sentence in facts["limits"])
    return f"""---
{_DATA.to_yaml()}
---

# {network} of tdfusion

{facts["summary"]}

```python
from tdfusion import {network}

net = {network}.from_pretrained("...")  # this folder, or this repository's name
```

| | |
|---|---|
| training data | {facts["data"]} |
| licence of the data | {facts["data_licence"]} |
| recipe | {facts["recipe"]} |
| seed | {facts["seed"]} |
| commit | {facts["commit"]} |

## Scores

{facts["scored_on"]}

{_table(facts["scores"])}

## Limits

{limits}

## The method

*Task-driven Image Fusion with Learnable Fusion Loss*, CVPR 2025: H. Bai, J. Zhang, Z. Zhao, Y. Wu, L. Deng, Y. Cui,
T. Feng, S. Xu. This is not their code; it is an independent reproduction.
"""


def _table(rows: list[Mapping[str, Any]]) -> str:
    words = lambda values: "| " + " | ".join(  # noqa: E731
        f"{value:.4g}" if isinstance(value, float) else str(value) for value in values
    ) + " |"  # fmt: skip
    return "\n".join([words(rows[0]), "|" + "---|" * len(rows[0]), *(words(row.values()) for row in rows)])
