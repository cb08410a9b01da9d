"""One long table per study and one record of its making, written whole and read back to the digit."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tdfusion.errors import InputError
from tdfusion.extras import extra
from tdfusion.files import whole_file, write_text

with extra("book", "tables of results"):
    import pandas as pd

FOLDER = Path(__file__).resolve().parents[2] / "results"
KEYS = ("study", "data", "arm", "task", "group", "image", "seed", "metric")
COLUMNS = (*KEYS, "value")
_TEXT = [column for column in KEYS if column != "seed"]


def tidy(study: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as studies have them, several metrics each, as a long table with the columns `COLUMNS`.

    Args:
        study: the name of the study.
        rows: some of the columns ``data``, ``arm``, ``task``, ``group``, ``image``, ``seed``, and ``values``:
            metric -> number, None where it is not defined.

    Raises:
        InputError: another column, a row without values, or a value that is no number.
    """
    records = []
    for row in rows:
        unknown = [name for name in row if name not in (*KEYS[1:-1], "values")]
        if unknown or "values" not in row:
            raise InputError(
                f'{study}: a row has {", ".join(row)}; it may have {", ".join(KEYS[1:-1])}, and must have "values"'
            )
        keys = {name: row.get(name) for name in KEYS[1:-1]}
        records += [
            {"study": study, **keys, "metric": metric, "value": value}
            for metric, value in row["values"].items()
        ]
    table = pd.DataFrame(records, columns=COLUMNS)
    table[_TEXT] = table[_TEXT].fillna("").astype("str")
    try:
        return table.astype({"seed": "Int64", "value": "float64"})
    except (TypeError, ValueError) as error:
        raise InputError(f"{study}: a value or a seed is no number ({error})") from error


def save(
    name: str,
    rows: pd.DataFrame | Iterable[Mapping[str, Any]],
    *,
    what: str,
    command: str,
    provenance: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
    folder: Path = FOLDER,
    **more: Any,
) -> None:
    """Write ``name.csv``, the table, and ``name.json``, the record of its making: both, or neither.

    Args:
        name: of the study.
        rows: a table with the columns `COLUMNS`, or what `tidy` makes one of.
        what: the numbers, in a sentence.
        command: what makes them.
        provenance: what `tdfusion.runs.provenance.Provenance.finish` gave, one for each run.
        settings: every number that the study rests on.
        folder: where both files go.
        more: further entries of the record.

    Raises:
        InputError: no rows, two rows with equal keys, other columns, or values that are no numbers.
    """
    table = rows if isinstance(rows, pd.DataFrame) else tidy(name, rows)
    if tuple(table.columns) != COLUMNS:
        raise InputError(f"{name}: columns {', '.join(table.columns)}; a table has {', '.join(COLUMNS)}")
    if table.empty:
        raise InputError(f"{name}: a table without rows")
    twice = table[table.duplicated(list(KEYS))]
    if len(twice):
        keys = twice.iloc[0][list(KEYS[1:])].dropna().items()
        first = ", ".join(f"{key} {value}" for key, value in keys if value != "")
        raise InputError(f"{name}: {len(twice)} rows are there twice, the first of them {first}")
    text = table.assign(value=[_number(value) for value in table["value"]]).to_csv(index=False)
    record = _record(what, command, provenance, settings, more)
    # a table and a record of two runs do not load
    record["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    with whole_file(folder / f"{name}.csv") as part, whole_file(folder / f"{name}.json") as record_part:
        part.write_text(text, "utf-8")
        record_part.write_text(_lines(record), "utf-8")


def load(name: str, folder: Path = FOLDER) -> pd.DataFrame:
    """The table of a study, with the columns `COLUMNS`.

    Texts are empty where they do not apply, ``seed`` is a whole number or missing, and ``value`` a float, NaN
    where a metric is not defined.

    Raises:
        InputError: no such study, or a table that is not the one its record speaks of.
    """
    path = folder / f"{name}.csv"
    record = about(name, folder)
    if not path.is_file():
        raise InputError(f"{path}: no such table" + _nearest(name, folder, ".csv"))
    if hashlib.sha256(path.read_bytes()).hexdigest() != record.get("sha256"):
        raise InputError(f"{path}: not the table that {name}.json was written with; run {record['command']}")
    types = dict.fromkeys(_TEXT, "str") | {"seed": "Int64", "value": "float64"}
    missing = {"seed": [""], "value": [""]}
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=missing)


def wide(table: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """A table with a column per metric and a row per combination of keys, in the order of the table.

    Args:
        table: as `load` gives it, or some of its rows.
        keys: columns that tell the rows apart, such as "arm", "seed".
    """
    values = table.set_index([*keys, "metric"])["value"].unstack()
    order = table[list(keys)].drop_duplicates()
    return values.loc[order[keys[0]] if len(keys) == 1 else pd.MultiIndex.from_frame(order)]


def about(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The record beside a table: what it is, the command that makes it, its settings and provenance.

    Raises:
        InputError: no such result; the nearest name is suggested.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such result" + _nearest(name, folder, ".json"))
    return json.loads(path.read_text("utf-8"))


def is_there(name: str, folder: Path = FOLDER) -> bool:
    """Whether a result of that name was made."""
    return (folder / f"{name}.json").is_file()


def provenance_of(name: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Commit, versions, hardware, start and seconds of every run behind a result."""
    return about(name, folder)["provenance"]


def made_at(name: str, folder: Path = FOLDER) -> str:
    """Where and when a result was made, in a line: hardware, PyTorch, commit, day of its first run."""
    first = provenance_of(name, folder)[0]
    return (
        f"{first['hardware']}, torch {first['versions']['torch']}, commit {first['commit']}, "
        f"{first['started'][:10]}"
    )


def save_facts(
    name: str,
    facts: Mapping[str, Any],
    *,
    what: str,
    command: str,
    provenance: Sequence[Mapping[str, Any]],
    folder: Path = FOLDER,
    **more: Any,
) -> None:
    """As `save`, for what is no table by nature: ``name.json`` alone, the facts in the record."""
    record = _record(what, command, provenance, None, more)
    write_text(folder / f"{name}.json", _lines(record | {"facts": facts}))


def facts(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """What `save_facts` wrote."""
    return about(name, folder)["facts"]


def _record(
    what: str,
    command: str,
    provenance: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any] | None,
    more: Mapping[str, Any],
) -> dict[str, Any]:
    record = {"what": what, "command": command, **more}
    return record | {"settings": dict(settings or {}), "provenance": [dict(run) for run in provenance]}


def _number(value: float) -> str:
    """The shortest text that reads back as the same number; nothing where there is none."""
    value = float(value)
    if value != value:
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _lines(record: Mapping[str, Any]) -> str:
    """JSON with a line for every entry, and for every entry of an entry, so that a change is a line's change."""

    def block(value: Any) -> str:
        if isinstance(value, dict) and value:
            return (
                "{\n" + ",\n".join(f"  {dump(key)}: {dump(entry)}" for key, entry in value.items()) + "\n }"
            )
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n" + ",\n".join(f"  {dump(entry)}" for entry in value) + "\n ]"
        return dump(value)

    def dump(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    return "{\n" + ",\n".join(f" {dump(key)}: {block(value)}" for key, value in record.items()) + "\n}\n"


def _nearest(name: str, folder: Path, suffix: str) -> str:
    there = [str(path.relative_to(folder).with_suffix("")) for path in sorted(folder.rglob(f"*{suffix}"))]
    near = difflib.get_close_matches(name, there, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
