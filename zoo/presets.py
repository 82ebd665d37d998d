"""The models that have a name. A table of data, written by `recipes/ship.py`."""

PRESETS = {
    "gru-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "af7d39dba8144e67750008483306fdf8cc103fd7f2624dc21a9a9e429fad743b",
    },
    "lstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "6f36d15053a5f0447a4fbd0e1a2719b164b0c8f921f6900f57fefae4ae84ca5b",
    },
    "mlstm-linux": {
        "task": "language-model",
        "manifest_sha256": "2f3cb8ff39c850f2116963cdf273d39564a15afc8f10cb9089019bdb11f219c2",
    },
    "mlstm-reviews": {
        "task": "language-model",
        "manifest_sha256": "84ef3f194f646baca74ec47bbcfe02b0101f56ba1e9592a0889b03a8378d73cf",
    },
    "mlstm-sentiment": {
        "task": "text-classification",
        "manifest_sha256": "b93cd9769ad0e7afdad99247f28db65381ee2b64074b3b0af841ec61e1ce5318",
    },
    "mlstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "5ef1c11c7e2da5f9dc1c8d8863599ed9a8ec1a3833da3df5e8e1140d00c81576",
    },
    "mlstm-shakespeare-large": {
        "task": "language-model",
        "manifest_sha256": "dd3a28b13df01b4c4e25dd7f95847f8ddb0ea9131a1b9231d89928ce6968f42f",
    },
    "peephole-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "d10faa18cd0aa11acdd517ab717fff51e98bdfb48bbd4a43f2ec368ec834d6e5",
    },
}
