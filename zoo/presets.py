"""The models that have a name. A table of data, written by `recipes/ship.py`."""

PRESETS = {
    "gru-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "d676ad206d0d7a1a56f5f76fb8036d43ea7b6fab5a8916e1f1fa9433669505e6",
    },
    "lstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "2321e236be01507aeb13cdc4b1b078ddca298e4fc5725d60f4ce11e0ebdd2a8b",
    },
    "mlstm-linux": {
        "task": "language-model",
        "manifest_sha256": "c8e740e0f6fcb4250fac6562d8f3be802ed9ba345beb6a1f46b9b09be5bda093",
    },
    "mlstm-reviews": {
        "task": "language-model",
        "manifest_sha256": "887428bf69e2b22e3364fa129a50a122fef72b4a5eecb34a3eb84d7560bb8245",
    },
    "mlstm-sentiment": {
        "task": "text-classification",
        "manifest_sha256": "3d53091670f56c470a515690eb20cd708d17b4f8c4c3f5acfe6e0794c26de9db",
    },
    "mlstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "8a2e0f1ddde46f05b63999e5aff78fc42df678fa3b73d8d505a5643734a64524",
    },
    "mlstm-shakespeare-large": {
        "task": "language-model",
        "manifest_sha256": "c31f1296d374df8c7a381adaa8bfe7f324bdfd668d5dd3306c683b2c37d3228d",
    },
    "peephole-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "a5bde6a1e9f6e6f2d177a99c32b0cc601f103a4c637baede42fdf74e117865c0",
    },
}
