"""What can go wrong with a checkpoint, a hub or a training: each error says what, where, and what to do next."""

import difflib


class ZooError(Exception):
    """Any error of the zoo that is not a plain ValueError or TypeError about an argument."""


class UnknownModel(ZooError):
    """No model of this name, here or on the hub; lists the close ones."""

    def __init__(self, name, known=(), advice=None):
        super().__init__(name, known, advice)
        self.name, self.known, self.advice = name, known, advice

    def __str__(self):
        if self.advice is not None:
            return f"There is no {self.name:.200}. {self.advice}"
        close = difflib.get_close_matches(self.name[:100], self.known, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(self.known) or 'none'}."
        return f"There is no model named {self.name!r:.200}, nor a folder. {hint} `zoo list` shows all."


class CorruptCheckpoint(ZooError):
    """A file is not what the checkpoint's manifest says."""

    def __init__(self, file, expected, got, advice="Get the checkpoint again; this copy is damaged."):
        super().__init__(str(file), expected, got, advice)
        self.file, self.expected, self.got, self.advice = self.args

    def __str__(self):
        return f"{self.file} is damaged: expected {self.expected}, got {self.got}. {self.advice}"


class IncompatibleCheckpoint(ZooError):
    """The checkpoint is sound but does not fit this model or this version of the zoo."""


class UnsafeCheckpoint(ZooError):
    """The checkpoint holds something that no checkpoint of the zoo holds; nothing of it was used."""

    def __init__(self, file, problem):
        super().__init__(str(file), str(problem))
        self.file, self.problem = self.args

    def __str__(self):
        return (
            f"{self.file} is not what the zoo writes: {self.problem:.500}. "
            "Nothing of it was used; get it from a source that you trust."
        )


class HubUnavailable(ZooError):
    """The hub cannot be reached, or does not do what it is asked for; says what can be done without it."""


class TrainingDiverged(ZooError):
    """The loss is no longer a number."""
