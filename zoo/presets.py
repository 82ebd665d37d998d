"""The models that have a name. A table of data, written by `recipes/ship.py`."""

PRESETS = {
    "lstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "bbfefffdb6d4c2bbf26a999cd4472bbe6d777718b389255a483dc230c9a8965c",
    },
    "mlstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "774231e0fc638854bb8cbf81d28e1dfb24d42f1bc44e96e3833b0f845a15b2b0",
    },
}
