"""JSON that a stranger may have written: read without surprises, and within a schema."""

import functools
import json

MOST_OBJECTS = 100_000
SIZES = {"maxLength": 10_000, "maxItems": 10_000, "maxProperties": 100}
NO_CONTROL_CHARACTERS = r"\A[^\x00-\x08\x0b-\x1f\x7f-\x9f]*\Z"  # which a terminal would obey
LINE = {  # without anything that moves the cursor or turns the direction of writing
    "type": "string",
    "maxLength": SIZES["maxLength"],
    "pattern": r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*\Z",
}
TEXT = {"type": "string", "maxLength": SIZES["maxLength"], "pattern": NO_CONTROL_CHARACTERS}


def parse(data, schema):
    """The object in UTF-8 JSON: no key twice, no NaN or infinity, no lone surrogate, not deep, and as the schema says.

    Args:
        data: bytes.
        schema: of JSON Schema, in which 4.0 is no integer; or a function of the parsed object that gives one.

    Raises:
        ValueError: what is wrong, in at most 300 characters.
    """
    try:
        if data.count(b"[") + data.count(b"{") > MOST_OBJECTS:
            raise ValueError(f"it has more than {MOST_OBJECTS:,} lists and objects")
        record = json.loads(data.decode("utf-8"), object_pairs_hook=_without_repetition)
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()  # what is read can be written again
        if not isinstance(record, dict):
            raise ValueError("it is not an object")
        error = next(_validator()(schema(record) if callable(schema) else schema).iter_errors(record), None)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{error!s:.300}") from None
    if error is not None:
        raise ValueError(f"{'/'.join(map(str, error.absolute_path))!r:.90}: {error.message:.200}")
    return record


def to_bytes(record):
    """JSON in UTF-8, one entry a line."""
    return (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def anything(depth):
    """The schema of any value of reasonable size in which lists and objects are at most `depth` deep."""
    scalars = ["string", "number", "boolean", "null"]
    if depth == 0:
        return {**TEXT, "type": scalars}
    inner = anything(depth - 1)
    containers = {"items": inner, "additionalProperties": inner, "propertyNames": LINE}
    return {**TEXT, **SIZES, **containers, "type": [*scalars, "array", "object"]}


def _without_repetition(pairs):
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key is there twice")
    return record


@functools.cache
def _validator():
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return extend(Draft202012Validator, type_checker=types)
