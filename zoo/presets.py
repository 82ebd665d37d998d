"""The models that have a name. A table of data, written by `recipes/ship.py`."""

PRESETS = {
    "lstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "bbfefffdb6d4c2bbf26a999cd4472bbe6d777718b389255a483dc230c9a8965c",
    },
}
