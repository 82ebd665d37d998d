"""Training that can be killed: resumable to the bit, guarded against divergence, best weights kept.

`fit` is one loop for every recipe. Its whole state (weights, optimizer, moving averages, random generators, the
recurrent state, the position in the data, the history) is one file, `training_state.safetensors`, replaced
atomically: whenever the process ends, the run goes on from the last one, and equals a run that never stopped.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import signal
from pathlib import Path

import keras
import numpy as np
from keras import tree

from zoo.atomic_files import atomic_write
from zoo.backend import training_step
from zoo.distributed import gathered, is_first
from zoo.errors import CorruptCheckpoint, TrainingDiverged, ZooError
from zoo.locks import locked
from zoo.prefetching import prefetched
from zoo.training_log import Clock, Progress, line, write_log

STATE_FILE = "training_state.safetensors"
LOCK_FILE = ".lock"
CHECK_EVERY = 10  # steps between looks at the loss; on an accelerator each look waits for the device


def fit(
    model,
    optimizer,
    loss_function,
    batches,
    validate,
    save,
    *,
    folder,
    epochs,
    highest=None,
    carry=(),
    settings=None,
    average=0.0,
    patience=None,
    checkpoint_minutes=5.0,
    report=print,
):
    """Trains a model, or goes on with a training that was interrupted.

    Args:
        model: a built `keras.Model`.
        optimizer: a Keras optimizer.
        loss_function: `(batch, carry) -> (loss, carry)`: the mean loss of a batch in training mode, and what the
            next batch wants to know, such as the recurrent state.
        batches: `batches(epoch)` gives a sequence of batches (`len`, `[i]`), always the same for the same epoch; a
            batch is a tuple of NumPy arrays. `batches.unit` names what is counted and `batches.size` how many of
            these a batch has.
        validate: `validate()` gives the loss on held-back data, lower is better; or a dict with it as `"validation"`
            and further figures for the history. With None, nothing is held back and the loss of the training stands
            in its place.
        save: `save(history)` keeps the weights that the model has now; called when the epoch is the best so far.
        folder: where state, log and curve are kept.
        epochs: how often to go through the data.
        highest: which figure tells the best epoch by being the highest; by default the lowest validation loss does.
        carry: what the first batch of each epoch is given.
        settings: JSON-able; a training can only be continued with the same.
        average: momentum of a moving average of the weights, which then is what is validated and saved; 0 for none.
        patience: stop after so many epochs without improvement; None for never.
        checkpoint_minutes: how often the state is written, besides at the end of each epoch.
        report: called with a line of text now and then.

    Returns:
        The history, a list with one dict for each epoch.

    Raises:
        ValueError: a number is out of its range.
        TrainingDiverged: the loss is not finite. The best weights and the last good state stay.
        KeyboardInterrupt, SystemExit: on SIGINT and SIGTERM, after the state has been written.
    """
    for name, value, sound, wanted in (
        ("epochs", epochs, epochs >= 1, "at least 1"),
        ("average", average, 0 <= average < 1, "at least 0 and below 1"),
        ("patience", patience, patience is None or patience >= 0, "None or at least 0"),
        ("checkpoint_minutes", checkpoint_minutes, checkpoint_minutes >= 0, "at least 0"),
    ):
        if not sound:
            raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r}")
    folder = Path(folder)
    optimizer.build(model.trainable_variables)
    averages = [keras.Variable(v, trainable=False) for v in model.trainable_variables] if average else []
    writes = is_first()
    with locked(folder / LOCK_FILE) if writes else contextlib.nullcontext(), _signals() as interrupted:
        if writes:
            _clear(folder)
        state = _State(folder / STATE_FILE, model, optimizer, averages, carry, settings)
        known = state.restore()
        clock = Clock(state.seconds)
        if not known:
            state.write(clock)  # from here on, the folder is this training's

        def complete():
            return state.epoch >= epochs or _out_of_patience(_merits(state.history, highest), patience)

        if complete():
            report(f"This training is complete: {len(state.history)} epochs, in {folder}.")
        step_function, sync = training_step(model, optimizer, loss_function, averages, average)

        while not complete():
            epoch_batches = batches(state.epoch)
            progress = Progress(report, batches, len(epoch_batches), epochs, state, clock)
            unseen = []
            with contextlib.closing(prefetched(epoch_batches, state.step)) as coming:
                for batch in coming:
                    with progress.computing():
                        loss, state.carry = step_function(batch, state.carry)
                    unseen.append(loss)
                    state.step += 1
                    last = state.step == len(epoch_batches)
                    if last or interrupted() or len(unseen) == CHECK_EVERY:
                        with progress.computing():
                            state.loss_sum += _finite_sum(unseen, state, folder)
                        unseen = []
                        progress.show()
                        if not last and (interrupted() or clock.minutes_since_save > checkpoint_minutes):
                            sync()
                            state.write(clock)
                            interrupted(act=True)
            progress.stop()
            sync()
            with _swapped(model.trainable_variables, averages):
                loss = state.loss_sum / len(epoch_batches)
                figures = loss if validate is None else validate()
                figures = figures if isinstance(figures, dict) else {"validation": float(figures)}
                if not np.isfinite(figures["validation"]):
                    raise TrainingDiverged(_diverged(state, folder, f"a validation loss of {figures['validation']}"))
                state.history.append(progress.record(loss, figures, optimizer))
                *before, merit = _merits(state.history, highest)
                if writes and merit > max(before, default=-np.inf):
                    save(state.history)
            state.next_epoch(carry)
            state.write(clock)
            if writes:
                write_log(folder, state.history)
            report(line(state.history[-1], epochs))
            interrupted(act=True)
    return state.history


def claim_folder(folder):
    """Makes the folder of a training, or raises an OSError now rather than after hours."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file. Choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    visible = any(not path.name.startswith(".") for path in folder.iterdir())  # not .DS_Store, nor half a state
    if not (folder / STATE_FILE).exists() and visible:
        raise FileExistsError(f"{folder} is not empty and holds no training to go on with. Choose another folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} is not writable. Choose another folder.")


def environment():
    """What a manifest says of the machine and the versions that trained."""
    backend = keras.backend.backend()
    packages = ("keras", backend, "numpy", "recurrent-zoo")
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in packages}},
        "hardware": _hardware(),
        "precision": keras.config.dtype_policy().name,
    }


def _clear(folder):
    """Removes what a process left that was killed while it wrote a state."""
    for litter in folder.glob(".*.tmp"):
        if litter.is_file():
            litter.unlink()


class _State:
    """Everything a training is made of, and its file."""

    def __init__(self, path, model, optimizer, averages, carry, settings):
        self.path = path
        self.variables = [*model.variables, *optimizer.variables, *averages]
        self.carry = carry
        self.settings = json.loads(json.dumps(settings))
        self.epoch = self.step = 0
        self.loss_sum = self.seconds = 0.0
        self.history = []

    def next_epoch(self, carry):
        self.epoch, self.step, self.loss_sum, self.carry = self.epoch + 1, 0, 0.0, carry

    def write(self, clock):
        from safetensors.numpy import save

        self.seconds = clock.seconds
        values = [*self.variables, *tree.flatten(self.carry)]
        arrays = {f"{i:06d}": _storable(value) for i, value in enumerate(values)}
        if not all(np.isfinite(a).all() for a in arrays.values()):
            raise TrainingDiverged(_diverged(self, self.path.parent, "weights that are not finite"))
        names = ("settings", "epoch", "step", "loss_sum", "seconds", "history")
        record = json.dumps({name: getattr(self, name) for name in names})
        if is_first():
            atomic_write(self.path, save(arrays, metadata={"training": record}))
        clock.saved()

    def restore(self):
        """Takes everything from the file; False if there is none."""
        if not self.path.exists():
            return False
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "np") as file:
                record = json.loads((file.metadata() or {})["training"])
                arrays = [file.get_tensor(key) for key in sorted(file.keys())]
        except (SafetensorError, KeyError, ValueError) as error:
            advice = "Choose another folder, or empty this one to train from the start."
            raise CorruptCheckpoint(self.path, "the state of a training", error, advice) from None
        if record["settings"] != self.settings:
            raise ZooError(
                f"{self.path.parent} holds a training with other settings "
                f"({_difference(record['settings'], self.settings)}). "
                "Choose another output folder, or the same settings to go on with it."
            )
        carried = arrays[len(self.variables) :]
        for variable, array in zip(self.variables, arrays):
            variable.assign(array.astype(keras.backend.standardize_dtype(variable.dtype)))
        leaves = [keras.ops.cast(a, leaf.dtype) for a, leaf in zip(carried, tree.flatten(self.carry))]
        self.carry = tree.pack_sequence_as(self.carry, leaves)
        for name, value in record.items():
            setattr(self, name, value)
        return True


@contextlib.contextmanager
def _signals():
    """Turns SIGINT and SIGTERM into a question that can be asked between steps."""
    received = []

    def interrupted(act=False):
        if act and received:
            raise KeyboardInterrupt if received[0] == signal.SIGINT else SystemExit(128 + received[0])
        return bool(received)

    try:
        before = {
            s: signal.signal(s, lambda number, _: received.append(number)) for s in (signal.SIGINT, signal.SIGTERM)
        }
    except ValueError:  # not the main thread, which alone may listen
        before = {}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _swapped(variables, averages):
    """Puts the averages in the place of the weights for a while."""
    kept = [keras.ops.convert_to_numpy(v) for v, _ in zip(variables, averages)]
    for variable, average in zip(variables, averages):
        variable.assign(average)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept):
            variable.assign(value)


def _finite_sum(losses, state, folder):
    total = float(sum(float(keras.ops.convert_to_numpy(loss)) for loss in losses))
    if not np.isfinite(total):
        raise TrainingDiverged(_diverged(state, folder, f"a loss of {total}"))
    return total


def _diverged(state, folder, what):
    return (
        f"Epoch {state.epoch + 1}, step {state.step}: {what}. The best weights so far and the last good state are in "
        f"{folder}. Lower the learning rate or the clipping norm, and start again in another folder."
    )


def _version(package):
    for name in (package, f"{package}-cpu"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "source"


def _hardware():
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    if keras.backend.backend() == "jax":
        import jax

        return f"{jax.devices()[0].device_kind}, {cores}"
    return cores


def _storable(value):
    array = np.asarray(gathered(value.value if isinstance(value, keras.Variable) else value), order="C")
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _difference(old, new):
    old, new = _flat(old or {}), _flat(new or {})
    changed = [k for k in {**old, **new} if old.get(k) != new.get(k)]
    return ", ".join(f"{k}: {old.get(k)!r}, now {new.get(k)!r}" for k in changed)


def _flat(settings):
    """The settings with those of inner dicts by names such as `data.sha256`."""
    inner = {k: _flat(v) for k, v in settings.items() if isinstance(v, dict)}
    deep = {f"{outer}.{k}": v for outer, values in inner.items() for k, v in values.items()}
    return {k: v for k, v in settings.items() if k not in inner} | deep


def _merits(history, highest):
    """How good each epoch was, the higher the better."""
    return [-record["validation"] if highest is None else record[highest] for record in history]


def _out_of_patience(merits, patience):
    return patience is not None and len(merits) > 0 and len(merits) - 1 - int(np.argmax(merits)) >= patience
