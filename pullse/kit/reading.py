"""
Input from outside, read strictly: a value that does not fit, a parameter or a field that
nobody knows, is refused, and the refusal names it.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from pullse.errors import Invalid, Refusal
from pullse.kit import marks

Shape = TypeVar("Shape")

WHOLE = re.compile(r"-?[0-9]{1,18}")
DEEPEST_FIELD = re.compile(r" - at `\$\.?([^`]*)`$")
HEAPED = f"There are more than {marks.MOST} marks on one letter: browsers can't show that."


class Malformed(Refusal):
    """Not JSON, not UTF-8, or nested without end."""

    code = "malformed"


class WrongMediaType(Refusal):
    code = "unsupported_media_type"


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A query or body without any fields."""


def check_media_type(value: str | None) -> None:
    kind, _, parameters = (value or "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise WrongMediaType("The body has to be JSON: send Content-Type: application/json.")


def check_is_form(value: str | None) -> None:
    kind = (value or "").partition(";")[0]
    if kind.strip().lower() != "application/x-www-form-urlencoded":
        raise WrongMediaType("This address takes what a form of its page sends.")


def body(raw: bytes, shape: type[Shape]) -> Shape:
    kind: Any = shape
    try:
        value: Shape = _decoder(kind).decode(raw)
    except msgspec.ValidationError:
        value = _explained(raw, shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise Malformed("The body is nested too deeply.") from error
    if not raw.isascii() or b"\\u" in raw:
        _refuse_unfit(msgspec.to_builtins(value))
    return value


def query(raw: bytes, shape: type[Shape]) -> Shape:
    """
    `a=1&b=x,y&b=z` as a struct: fields that are lists take several values, by comma or by
    repeating them, or none (`b=` is as good as nothing); all others take one.
    """
    kind: Any = shape
    lists, numbers = _fields_with(kind, list), _fields_with(kind, int)
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in pairs(raw, "query string"):
        if "\0" in value or "\0" in name:
            problems[name.replace("\0", "")] = "NUL characters are not allowed."
        elif name in lists:
            found.setdefault(name, []).extend(part for part in value.split(",") if part)
        elif name in found:
            problems[name] = "Given more than once."
        else:
            found[name] = int(value) if name in numbers and WHOLE.fullmatch(value) else value
    if problems:
        raise _invalid(problems)
    return _convert(found, shape, what="parameter")


def pairs(raw: bytes, what: str) -> list[tuple[str, str]]:
    """Names and values as they were sent, in their order."""
    try:
        return parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=400
        )
    except ValueError as error:
        raise Malformed(f"The {what} is malformed.") from error


def form(given: Sequence[tuple[str, str]], shape: type[Shape]) -> Shape:
    """What a form sent, as a struct: a field that was left empty is as good as none."""
    kind: Any = shape
    lists = _fields_with(kind, list)
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, value in given:
        if problem := _unfit(value) or _unfit(name):
            problems[name.replace("\0", "")] = problem
        elif not value:
            continue
        elif name in lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            problems[name] = "Given more than once."
        else:
            found[name] = value
    if problems:
        raise _invalid(problems)
    return _convert(found, shape, what="field")


def _explained(raw: bytes, shape: type[Shape]) -> Shape:
    """The decoder stops at the first problem; people want to hear of all."""
    try:
        loose = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON: {error}.") from error
    except RecursionError as error:
        raise Malformed("The body is nested too deeply.") from error
    if not isinstance(loose, dict):
        raise Malformed("The body has to be a JSON object.")
    return _convert(loose, shape, what="field")


def _convert(values: dict[str, Any], shape: type[Shape], *, what: str) -> Shape:
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        problems = _problems(values, shape, what=what)
        if not problems:
            problems = {_field(str(error)): _sentence(str(error))}
        raise _invalid(problems) from error


def _problems(values: dict[str, Any], shape: Any, *, what: str) -> dict[str, str]:
    problems = {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    for name, value in values.items():
        if name not in fields:
            problems[name] = f"There is no such {what}."
            continue
        try:
            msgspec.convert(value, fields[name].type)
        except msgspec.ValidationError as error:
            problems[_inside(name, str(error))] = _sentence(str(error))
    for name, field in fields.items():
        if field.required and name not in values:
            problems[name] = f"This {what} is required."
    return problems


def _invalid(problems: dict[str, str]) -> Invalid:
    first = next(iter(problems.items()))
    return Invalid(f"{first[0]}: {first[1]}", problems=problems)


def _field(message: str) -> str:
    found = DEEPEST_FIELD.search(message)
    return found[1] if found and found[1] else "body"


def _inside(name: str, message: str) -> str:
    """`changes.status` and `tickets[0].id`, but of a list of plain values the list alone."""
    found = DEEPEST_FIELD.search(message)
    path = found[1] if found else ""
    if path.startswith("["):
        return name + path if "]." in path else name
    return f"{name}.{path}" if path else name


def _sentence(message: str) -> str:
    text = DEEPEST_FIELD.sub("", message).replace("`", "")
    if text == "Expected str matching regex '\\\\S'":
        text = "This must not be blank"
    return text if text.endswith(".") else text + "."


def _refuse_unfit(value: Any) -> None:
    problems = {name: problem for name, part in value.items() if (problem := _unfit(part))}
    if problems:
        raise _invalid(problems)


def _unfit(value: Any) -> str | None:
    """What is wrong with a text, wherever it stands in a value."""
    if isinstance(value, str):
        if "\0" in value:
            return "NUL characters are not allowed."
        return HEAPED if marks.are_too_many(value) else None
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    return next(filter(None, map(_unfit, value)), None) if isinstance(value, list) else None


@cache
def _decoder(shape: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(shape)


@cache
def _fields_with(shape: Any, kind: type) -> frozenset[str]:
    return frozenset(
        field.encode_name for field in msgspec.structs.fields(shape) if kind in _parts(field.type)
    )


def _parts(kind: Any) -> set[Any]:
    """All that a type is put together from: of `Annotated[int, …] | None`, also int."""
    return {kind, get_origin(kind)}.union(*map(_parts, get_args(kind)))
