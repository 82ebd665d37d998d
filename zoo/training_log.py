"""What a training says while it runs, and what it leaves to read: a line of progress, a table, a curve."""

import contextlib
import csv
import io
import time

import keras
import numpy as np

from zoo.atomic_files import atomic_write


class Clock:
    """Seconds of training, over interruptions."""

    def __init__(self, before):
        self.start = time.monotonic() - before
        self.saved()

    def saved(self):
        self.last_save = time.monotonic()

    @property
    def seconds(self):
        return time.monotonic() - self.start

    @property
    def minutes_since_save(self):
        return (time.monotonic() - self.last_save) / 60


class Progress:
    """The line that says how fast, how far and how well."""

    def __init__(self, report, batches, steps, epochs, state, clock):
        self.report, self.batches, self.steps, self.epochs = report, batches, steps, epochs
        self.state, self.clock = state, clock
        self.begin, self.first_step = time.monotonic(), state.step
        self.shown, self.computed, self.end = self.begin, 0.0, None

    def stop(self):
        """To be called after the last step, before the validation."""
        self.end = time.monotonic()

    @property
    def seconds(self):
        """Of this epoch, since the start or the last interruption."""
        return (self.end or time.monotonic()) - self.begin

    @property
    def rate(self):
        """Units a second."""
        return (self.state.step - self.first_step) * self.batches.size / self.seconds

    @contextlib.contextmanager
    def computing(self):
        """To be entered while the device is given work or waited for."""
        start = time.monotonic()
        yield
        self.computed += time.monotonic() - start

    @property
    def idle(self):
        """The part of the time in which the device may have had nothing to do: for batches, states, and the log.

        On an accelerator steps are still computed after they have been given, so this is the most it can be.
        """
        return max(0.0, 1 - self.computed / self.seconds)

    def show(self):
        if time.monotonic() - self.shown < 10:
            return
        self.shown = time.monotonic()
        state = self.state
        left = (self.steps - state.step + (self.epochs - state.epoch - 1) * self.steps) * self.batches.size
        loss = state.loss_sum / state.step
        self.report(
            f"epoch {state.epoch + 1}/{self.epochs}  {state.step}/{self.steps}  loss {loss:.4f} "
            f"({loss / np.log(2):.3f} bits)  {self.rate:,.0f} {self.batches.unit}/s, {self.idle:.1%} idle  "
            f"{left / self.rate / 60:.1f} min left"
        )

    def record(self, loss, figures, optimizer):
        return {
            "epoch": self.state.epoch + 1,
            "loss": loss,
            **figures,
            "learning_rate": float(keras.ops.convert_to_numpy(optimizer.learning_rate)),
            f"{self.batches.unit.replace(' ', '_')}_per_second": round(self.rate, 1),
            "device_idle": round(self.idle, 4),
            "backend": keras.backend.backend(),  # a training may go on with the other
            "minutes": round(self.clock.seconds / 60, 2),
        }


def line(record, epochs):
    """What is said of a finished epoch."""
    bleu = f", BLEU {record['bleu']:.2f}" if "bleu" in record else ""
    return (
        f"epoch {record['epoch']}/{epochs}: loss {record['loss']:.4f}, validation {record['validation']:.4f} "
        f"({record['validation'] / np.log(2):.3f} bits){bleu}, {record['minutes']:.1f} min so far"
    )


def write_log(folder, history):
    """Writes `log.csv` and `loss.png`, one row and one point for each epoch."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, history[-1].keys())
    writer.writeheader()
    writer.writerows(history)
    atomic_write(folder / "log.csv", text.getvalue().encode())
    atomic_write(folder / "loss.png", _curve(history))


def _curve(history):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [h["epoch"] for h in history]
    axes.plot(epochs, [h["loss"] for h in history], label="training")
    axes.plot(epochs, [h["validation"] for h in history], label="validation")
    axes.set(xlabel="epoch", ylabel="loss (nats)")
    axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
