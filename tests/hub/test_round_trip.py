"""Weights go to the hub and come back, by the real client."""

import keras
import numpy as np

import zoo


def same(one, other):
    pairs = zip(one.named_weights().values(), other.named_weights().values())
    return all(np.array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b)) for a, b in pairs)


def test_publish_and_load(hub, saved):
    done = zoo.publish(saved, "alice/hello-lstm")
    assert hub.repos["alice/hello-lstm"].private
    assert hub.files("alice/hello-lstm").keys() >= {*zoo.checkpoint.FILES, "manifest.json"}
    expected = zoo.load(saved)
    for name in ("alice/hello-lstm", "hf://alice/hello-lstm", f"alice/hello-lstm@{done.commit}"):
        model = zoo.load(name)
        assert same(model, expected) and model.tokenizer == expected.tokenizer
    assert done.commit == hub.repos["alice/hello-lstm"].refs["main"]
