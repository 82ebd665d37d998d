"""Checkpoints with any JSON and any bytes in them: the same weights, or a named error. Run it with

python -m pytest -m slow tests/faults/test_fuzz.py
"""

import json
import shutil

import pytest
from faults import join, refusal, rehash, same, split
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.hub import HubName, parse
from zoo.verification import verify

pytestmark = pytest.mark.slow
EXAMPLES = settings(
    max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner))


@st.composite
def changed(draw, record):
    """The record with something in it replaced, removed or added."""
    record = json.loads(json.dumps(record))
    place = record
    for _ in range(draw(st.integers(0, 4))):
        inner = [v for v in (place.values() if isinstance(place, dict) else place) if isinstance(v, dict | list) and v]
        if not inner:
            break
        place = draw(st.sampled_from(inner))
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    key = draw(st.sampled_from(keys))
    if draw(st.booleans()):
        place[key] = draw(JSON)
    else:
        del place[key]
    if isinstance(place, dict) and draw(st.booleans()):
        place[draw(st.text(max_size=8))] = draw(JSON)
    return record


def check(folder, good):
    """Refused with an error of ours; or a model that may be another one, such as of another dropout, but for its
    weights."""
    if refusal(folder) is None:
        found = verify(good)
        assert same(verify(folder)._replace(config=found.config, tokenizer=found.tokenizer), found)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@EXAMPLES
@given(data=st.data())
def test_json(folder, good, name, data):
    record = data.draw(changed(json.loads((good / name).read_bytes())))
    (folder / name).write_text(json.dumps(record))
    rehash(folder)
    check(folder, good)
    shutil.copy(good / name, folder / name)


@EXAMPLES
@given(data=st.data())
def test_manifest(folder, good, data):
    record = data.draw(changed(json.loads((good / "manifest.json").read_bytes())))
    (folder / "manifest.json").write_text(json.dumps(record))
    check(folder, good)


@EXAMPLES
@given(data=st.data())
def test_header_of_safetensors(folder, good, data):
    header, content = split(good)
    join(folder, data.draw(changed(header)), content)
    check(folder, good)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "manifest.json", "model.safetensors"])
@EXAMPLES
@given(content=st.binary(max_size=200))
def test_bytes(folder, name, content):
    (folder / name).write_bytes(content)
    if name != "manifest.json":
        rehash(folder)
    assert refusal(folder)


@EXAMPLES
@given(
    name=st.text(max_size=40) | st.from_regex(r"(hf://)?[\w.-]*/[\w.-]*(@[\w./-]*)?"),
    revision=st.none() | st.text(max_size=9),
)
def test_names(name, revision):
    try:
        found = parse(name, revision)
    except ValueError:
        return
    assert found is None or (isinstance(found, HubName) and ".." not in str(found) and parse(str(found)) == found)
