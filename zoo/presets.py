"""The models that have a name. A table of data, written by `recipes/ship.py`."""

PRESETS = {
    "attention-en-de": {
        "task": "translation",
        "manifest_sha256": "08a6a07afc48269aefb00895a969efa2ea22d8d30712a5c3becf962c215872d0",
    },
    "attention-en-fr": {
        "task": "translation",
        "manifest_sha256": "5dc47159ff5cd472c4fd3e86511aedebff1bc003dc8a7857a8ad46e36e17ab3d",
    },
    "gru-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "4dd357a17082d7475b612f8c5d95f5373bf962723287d5e6eceea1d4bf232cd0",
    },
    "lstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "971e480521d49096dd76b8c1c0d4722f329fdf028bb6605b821e68e45958318b",
    },
    "mlstm-linux": {
        "task": "language-model",
        "manifest_sha256": "d058e8543cedb483f2a182d89314051c0620f4c40258d32e1b78eb726a9f652e",
    },
    "mlstm-reviews": {
        "task": "language-model",
        "manifest_sha256": "b1485f3258084e8d849497039748dd9658f1d43bbc917a3b6e8a8c904713c92b",
    },
    "mlstm-sentiment": {
        "task": "text-classification",
        "manifest_sha256": "2edab0e0d593e2288124eeeb35203329ee9c42dda19115ad2026c76ea98669c1",
    },
    "mlstm-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "07007c874f865eca37bb686b457603aac381c6933aa0334f9163d09e62b85fc5",
    },
    "mlstm-shakespeare-large": {
        "task": "language-model",
        "manifest_sha256": "9a404ecf36fc77ae2e0070bbaaf313a7521b803e59cd50ff732e90404874d807",
    },
    "mlstm-wikitext2": {
        "task": "language-model",
        "manifest_sha256": "221443f3643de20a9289e91449fcf0c4502d8db9ab946f69f3ca1f49a41eced4",
    },
    "peephole-shakespeare": {
        "task": "language-model",
        "manifest_sha256": "8884375bdd578ac05ef1a3b8faaab7786675f6979fe6a53cc6a3ba3aaf501986",
    },
}
