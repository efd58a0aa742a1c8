"""The kinds of values in the configuration file: text, numbers, times, sizes, lists, conditions.

Imports pydantic and ``values``. Invariant: a value is understood or refused in words; each kind
knows its JSON Schema.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from watcher.config import values


def _text(value: object) -> object:
    if isinstance(value, bool | int | float):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004  (pydantic wants it)
    if value is None:
        raise ValueError("has no value")
    if isinstance(value, dict | list):
        raise ValueError("must be text, not a mapping or list")  # noqa: TRY004  (likewise)
    if value == "" or "\0" in str(value):
        raise ValueError("is empty" if value == "" else "holds a NUL character")
    return value


def _secret(value: object) -> object:
    return value if value == "" else _text(value)  # ${TOKEN:-} is how one says: none


def _no_bool(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("must be a whole number")  # noqa: TRY004  (pydantic wants it)
    return value


def _flag(value: object) -> object:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    found = words.get(str(value).lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be more than 0")
    return value


def _some_time(value: object) -> float:
    return _positive(values.duration(value))


def _workers(value: object) -> int:
    if value == "auto":
        return 0
    if isinstance(value, bool) or not str(value).isdecimal() or int(str(value)) < 1:
        raise ValueError("must be `auto` or a whole number from 1")
    return int(str(value))


def unless_off(value: object) -> object:
    """``http: off``; YAML reads the bare word as a boolean."""
    if value is False or (isinstance(value, str) and value.lower() == "off"):
        return None
    if not isinstance(value, dict):
        raise ValueError("must be `off` or a mapping with listen and token_file")  # noqa: TRY004  (pydantic wants it)
    return value


def _many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def conditions(value: object) -> object:
    """A pattern or a list of them stands for a mapping."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str | list):
        raise ValueError("must be a pattern, a list of patterns, or a mapping of conditions")  # noqa: TRY004  (pydantic wants it)
    return {"glob": value}


def _words(value: object) -> object:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list: the program and each of its arguments")
    return [str(one) if type(one) in (int, float) else one for one in value]


def listed(value: object) -> object:
    """One job of a chain is a list of one."""
    return [value] if isinstance(value, dict) else value


def bundled(value: object) -> object:
    """``folder`` and ``sequence`` stand for a mapping."""
    if isinstance(value, dict):
        return value
    if value not in ("folder", "sequence"):
        raise ValueError("must be folder, sequence, or a mapping with main and with")
    return {"kind": value}


def with_hours(value: object) -> object:
    """Hours alone stand for a mapping."""
    return value if isinstance(value, dict) else {"hours": value}


Text = Annotated[str, BeforeValidator(_text), WithJsonSchema({"type": "string", "minLength": 1})]
Token = Annotated[str, BeforeValidator(_secret), WithJsonSchema({"type": "string"})]
MOST = 1_000_000
Whole = Annotated[
    int,
    BeforeValidator(_no_bool),
    Field(ge=-MOST, le=MOST),
    WithJsonSchema({"type": "integer", "minimum": -MOST, "maximum": MOST}),
]
Natural = Annotated[
    int,
    BeforeValidator(_no_bool),
    Field(ge=0, le=MOST),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MOST}),
]
Count = Annotated[
    int,
    BeforeValidator(_no_bool),
    Field(ge=1, le=MOST),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST}),
]
Flag = Annotated[bool, BeforeValidator(_flag), WithJsonSchema({"type": "boolean"})]
_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^({values.DURATION})$"}]}
Duration = Annotated[
    float, BeforeValidator(values.duration), WithJsonSchema({**_DURATION, "examples": ["1m30s"]})
]
Period = Annotated[
    float, BeforeValidator(_some_time), WithJsonSchema({**_DURATION, "examples": ["1s"]})
]
Size = Annotated[
    int,
    BeforeValidator(values.size),
    WithJsonSchema(
        {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^({values.SIZE})$"}]}
    ),
]
Workers = Annotated[
    int,
    BeforeValidator(_workers),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}),
]
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Words = Annotated[
    list[Text],
    BeforeValidator(_words),
    WithJsonSchema({"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}}),
]
Texts = Annotated[list[Text], BeforeValidator(_many), WithJsonSchema(_TEXTS)]
