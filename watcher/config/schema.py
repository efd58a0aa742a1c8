"""The table of keys shown to others: a JSON Schema for editors, a commented file for people.

Imports the table. Invariant: both are made from it, so that neither can name a key it lacks or
lack one it names.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from watcher.config import model

DIALECT = "https://json-schema.org/draft/2020-12/schema"
WIDTH = 44  # column of the meanings in the sample

# The part of the sample that is active; the rest of the table follows as comments.
_HEAD = """\
# watcher.yaml: which folders are watched, and what becomes of the files in them.
# Relative paths are relative to this file. ${VAR} and ${VAR:-default} work in every value.
# `watcher check` tells every mistake with its line. Lines with `#` show defaults or examples.
"""
_ACTIVE: dict[str, dict[str, str]] = {
    "FileKeys": {"state": "./var"},
    "SchedulerKeys": {"url": "embedded"},
    "FolderKeys": {"name": "cad", "input": "./drop/cad", "output": "./ready/cad"},
    "RuleKeys": {
        "name": "step-to-glb",
        "match": '"*.{step,stp}"',
        "process": "convert_file",
        "params": "{extension: glb}",
        "deliver": '"{parent}/{stem}.{ext}"',
    },
}
_LAST = """\
      - name: everything-else
        match: "*"
        jobs:
          - {process: generate_thumbnails, params: {width: 512, height: 512}}
          - {process: generate_metadata}
"""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the configuration file."""
    made = model.FileKeys.model_json_schema()
    for keys in (made, *made["$defs"].values()):
        keys["properties"] = {k: _cleaned(v) for k, v in keys["properties"].items()}
    texts = [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]
    conditions = {"anyOf": [*texts, {"$ref": "#/$defs/MatchKeys"}]}
    rule = made["$defs"]["RuleKeys"]["properties"]
    rule["match"] = {"description": rule["match"]["description"], **conditions}
    for keys in (rule, made["$defs"]["JobKeys"]["properties"]):
        chained = {"$ref": "#/$defs/ChainKeys"}
        several = {"type": "array", "items": chained}
        told = keys["then"]["description"]
        keys["then"] = {"description": told, "anyOf": [chained, several]}
    inner = made["$defs"]["MatchKeys"]["properties"]
    inner["not"] = {"description": inner["not"]["description"], **conditions}
    # the main pattern of a bundle stands for `match` where there is none
    made["$defs"]["RuleKeys"]["required"].remove("match")
    made["$defs"]["RuleKeys"]["anyOf"] = [{"required": ["match"]}, {"required": ["bundle"]}]
    made["$defs"]["RuleKeys"]["properties"]["bundle"] = {
        "description": rule["bundle"]["description"],
        "anyOf": [{"enum": ["folder", "sequence"]}, {"$ref": "#/$defs/BundleKeys"}],
    }
    rule["when"] = {
        "description": rule["when"]["description"],
        "anyOf": [*texts, {"$ref": "#/$defs/WhenKeys"}],
    }
    http = made["properties"]["http"]
    http["anyOf"] = [{"$ref": "#/$defs/HttpKeys"}, {"enum": ["off", False]}]
    made["patternProperties"] = {"^x-": {}}  # anchors are kept there
    return {"$schema": DIALECT, **made, "title": "watcher.yaml"}


def _cleaned(shape: dict[str, Any]) -> dict[str, Any]:
    """One key's schema without what only serves us: ``shown``, titles, and null for absent."""
    kept = {k: v for k, v in shape.items() if k not in {"shown", "title"}}
    if kept.get("default", "") is None:
        del kept["default"]
    choices = [one for one in kept.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept.update(choices[0])
    elif choices:
        kept["anyOf"] = choices
    return kept


def sample() -> str:
    """A file for a beginning: short where it is active, complete in its comments."""
    lines = [*_section(model.FileKeys, "", skip=_SECTIONS), ""]
    for name, keys in (("http", model.HttpKeys), ("log", model.LogKeys)):
        lines += [f"# {name}:", *_section(keys, "#   "), ""]
    lines += ["# notify:".ljust(WIDTH) + "# " + _meaning(model.FileKeys, "notify")]
    hook = [f"#     {line.removeprefix('#     ')}" for line in _section(model.NotifyKeys, "#     ")]
    lines += ["#   - " + hook[0].removeprefix("#     "), *hook[1:], ""]
    lines += ["scheduler:", *_section(model.SchedulerKeys, "  "), ""]
    lines += ["# schedulers:".ljust(WIDTH) + "# " + _meaning(model.FileKeys, "schedulers")]
    lines += ["#   farm:", "#     url: http://farm:8001", "", "folders:"]
    lines += _entry(_section(model.FolderKeys, "    ", skip={"rules"}), "  ")
    lines += ["    rules:", *_entry(_section(model.RuleKeys, "        "), "      ")]
    lines += [
        f"        # match can be a mapping as well: {_meaning(model.RuleKeys, 'match')}",
        *_section(model.MatchKeys, "        #   "),
    ]
    return _HEAD + "\n".join(lines) + "\n" + _LAST


_SECTIONS = frozenset({"http", "log", "notify", "scheduler", "schedulers", "folders"})


def _meaning(keys: type[BaseModel], name: str) -> str:
    return keys.model_fields[name].description or ""


def _section(
    keys: type[BaseModel], indent: str, *, skip: frozenset[str] | set[str] = frozenset()
) -> list[str]:
    """One line a key: the active ones first, in their order, the others as comments."""
    active = _ACTIVE.get(keys.__name__, {})
    quiet = indent if "#" in indent else f"{indent}# "
    fields = {field.alias or name: field for name, field in keys.model_fields.items()}
    return [
        *(_line(f"{indent}{key}: {text}", fields[key]) for key, text in active.items()),
        *(
            _line(f"{quiet}{key}: {_shown(field)}", field)
            for key, field in fields.items()
            if key not in active and key not in skip
        ),
    ]


def _line(text: str, field: FieldInfo) -> str:
    return f"{text.ljust(WIDTH)}  # {field.description}"


def _entry(lines: list[str], indent: str) -> list[str]:
    """Lines as an entry of a list: the first gets the dash."""
    return [f"{indent}- {lines[0].lstrip()}", *lines[1:]]


def _shown(field: FieldInfo) -> str:
    """What the sample writes as a key's value: its example, else its default."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown" in extra:
        return str(extra["shown"])
    return field.default if isinstance(field.default, str) else json.dumps(field.default)
