"""What can go wrong with a checkpoint, a hub or a training: each error says what, where, and what to do next."""

import difflib


class ZooError(Exception):
    """Any error of the zoo that is not a plain ValueError or TypeError about an argument."""


class UnknownModel(ZooError):
    """No model of this name; lists the close ones."""

    def __init__(self, name, known):
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(known) or 'none'}."
        super().__init__(f"There is no model named {name!r}, nor a folder. {hint} `zoo list` shows all.")


class CorruptCheckpoint(ZooError):
    """A file is not what the checkpoint's manifest says."""

    def __init__(self, file, expected, got, advice="Get the checkpoint again; this copy is damaged."):
        self.file, self.expected, self.got = str(file), expected, got
        super().__init__(f"{file} is damaged: expected {expected}, got {got}. {advice}")


class IncompatibleCheckpoint(ZooError):
    """The checkpoint is sound but does not fit this model or this version of the zoo."""


class UnsafeCheckpoint(ZooError):
    """The checkpoint holds something that no checkpoint of the zoo holds; nothing of it was used."""


class HubUnavailable(ZooError):
    """The hub cannot be reached."""


class TrainingDiverged(ZooError):
    """The loss is no longer a number."""
