import contextlib
import csv
import json
import os
import re
import signal
import threading
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops
from safetensors import safe_open
from safetensors.numpy import save

from zoo import training, training_log
from zoo.backend import training_step
from zoo.errors import CorruptCheckpoint, TrainingDiverged, ZooError
from zoo.prefetching import prefetched
from zoo.training_log import Progress

STEPS, EPOCHS = 12, 3
CARRY = (np.zeros((4, 3), "float32"),)


@pytest.fixture(autouse=True)
def no_thread(monkeypatch):
    """Each batch is made right before its step, so that what happens there happens at a known step."""
    plain = lambda sequence, start: (sequence[i] for i in range(start, len(sequence)))  # noqa: E731
    monkeypatch.setattr(training, "prefetched", plain)


class Toy(keras.Model):
    """Everything a training has to remember: weights, batch statistics, random dropout, a carried state."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = keras.layers.Dense(3), keras.layers.BatchNormalization()
        self.dropout = keras.layers.Dropout(0.3)
        self.forward(np.zeros((4, 2), "float32"), CARRY[0], training=False)
        self.built = True

    def forward(self, x, carried, training):
        hidden = self.norm(self.inner(x) + carried, training=training)
        return ops.sum(self.dropout(hidden, training=training), axis=-1, keepdims=True), hidden

    def training_loss(self, batch, carry):
        x, y = batch
        predicted, hidden = self.forward(x, carry[0], training=True)
        return ops.mean((predicted - y) ** 2), (0.5 * ops.stop_gradient(hidden),)


class Batches:
    size, unit = 4, "rows"

    def __init__(self, before=lambda epoch, i: None, change=lambda epoch, i, y: y):
        self.before, self.change = before, change

    def __call__(self, epoch):
        return Epoch(self, epoch)


class Epoch:
    def __init__(self, owner, epoch):
        self.owner, self.epoch = owner, epoch

    def __len__(self):
        return STEPS

    def __getitem__(self, i):
        self.owner.before(self.epoch, i)
        x = np.random.default_rng([self.epoch, i]).normal(size=(4, 2)).astype("float32")
        return x, self.owner.change(self.epoch, i, x.sum(-1, keepdims=True))


def make():
    """The same model and optimizer each time."""
    keras.utils.set_random_seed(1)
    schedule = keras.optimizers.schedules.CosineDecay(0.05, STEPS * EPOCHS)
    return Toy(), keras.optimizers.SGD(schedule, momentum=0.9, global_clipnorm=1.0)


class Run:
    """One call of `fit`, and what it did."""

    def __init__(self, folder, batches=None, validations=None, **options):
        folder.mkdir(exist_ok=True)
        self.folder, self.lines, self.saved, self.validated = folder, [], [], []
        self.validations = iter(validations or [])
        self.batches = batches or Batches()
        self.options = {"epochs": EPOCHS, "carry": CARRY, "average": 0.9, "report": self.lines.append, **options}

    def __call__(self):
        self.model, self.optimizer = make()
        return training.fit(
            self.model,
            self.optimizer,
            self.model.training_loss,
            self.batches,
            self.validate,
            self.save,
            folder=self.folder,
            **self.options,
        )

    def validate(self):
        self.validated.append(weights(self.model))
        predicted, _ = self.model.forward(np.ones((4, 2), "float32"), CARRY[0], training=False)
        return next(self.validations, float(ops.mean((predicted - 2.0) ** 2)))

    def save(self, history):
        self.saved.append((history[-1]["epoch"], weights(self.model)))

    @property
    def file(self):
        return self.folder / training.STATE_FILE


def state(folder):
    """The arrays and the record of a state file, without the measured times."""
    with safe_open(folder / training.STATE_FILE, "np") as file:
        record = json.loads(file.metadata()["training"])
        arrays = [file.get_tensor(key) for key in sorted(file.keys())]
    record["history"] = [timeless(h) for h in record["history"]]
    del record["seconds"]
    return arrays, record


def weights(model):
    return [ops.convert_to_numpy(v) for v in model.trainable_variables]


def timeless(record):
    return {k: v for k, v in record.items() if k not in ("minutes", "rows_per_second", "device_idle")}


def assert_same(arrays, expected):
    assert len(arrays) == len(expected) > 0
    for array, other in zip(arrays, expected):
        np.testing.assert_array_equal(array, other)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("uninterrupted"))
    run.history = run()
    return run


def at(*places, number=signal.SIGINT):
    """Batches that send this process a signal, once at each (epoch, step)."""
    left = list(places)

    def before(*place):
        if place in left:
            left.remove(place)
            os.kill(os.getpid(), number)

    return Batches(before)


@pytest.mark.parametrize(
    "places, number, ending",
    [
        ([(0, 3)], signal.SIGINT, KeyboardInterrupt),
        ([(0, 0), (0, 1), (2, 9)], signal.SIGTERM, SystemExit),
        ([(0, STEPS - 1)], signal.SIGINT, KeyboardInterrupt),  # between two epochs
        ([(1, STEPS - 2), (1, STEPS - 1)], signal.SIGTERM, SystemExit),
    ],
)
def test_resumed_equals_uninterrupted(tmp_path, uninterrupted, places, number, ending):
    run = Run(tmp_path, at(*places, number=number))
    for epoch, step in places:
        with pytest.raises(ending) as raised:
            run()
        assert ending is KeyboardInterrupt or raised.value.code == 128 + number
        _, record = state(tmp_path)
        last = step == STEPS - 1
        assert (record["epoch"], record["step"]) == ((epoch + 1, 0) if last else (epoch, step + 1))
    assert_equals(run, uninterrupted)


@pytest.mark.parametrize("place, minutes", [((0, 0), 5.0), ((0, 11), 0.0), ((1, 3), 5.0), ((2, 11), 0.0)])
def test_a_crash_loses_what_came_after_the_last_state_and_no_more(tmp_path, uninterrupted, place, minutes):
    class Crash(BaseException):
        pass

    crashes = [place]

    def before(*now):
        if now in crashes:
            raise Crash(crashes.pop())

    run = Run(tmp_path, Batches(before), checkpoint_minutes=minutes)
    with pytest.raises(Crash):
        run()
    _, record = state(tmp_path)
    epoch, step = place
    known = training.CHECK_EVERY * (step // training.CHECK_EVERY) if minutes == 0 else 0
    assert (record["epoch"], record["step"]) == (epoch, known)
    assert_equals(run, uninterrupted)


def test_a_signal_during_validation_ends_the_epoch_first(tmp_path, uninterrupted):
    run = Run(tmp_path)
    validate = run.validate
    run.validate = lambda: (len(run.validated) or os.kill(os.getpid(), signal.SIGTERM), validate())[1]
    with pytest.raises(SystemExit):
        run()
    assert state(tmp_path)[1]["epoch"] == 1
    assert [epoch for epoch, _ in run.saved] == [1]
    assert_equals(run, uninterrupted)


def assert_equals(run, uninterrupted):
    history = run()
    assert [timeless(h) for h in history] == [timeless(h) for h in uninterrupted.history]
    assert len(history) == EPOCHS
    (arrays, record), (expected, expected_record) = state(run.folder), state(uninterrupted.folder)
    assert record == expected_record
    assert_same(arrays, expected)
    assert_same(weights(run.model), weights(uninterrupted.model))
    assert run.saved[-1][0] == uninterrupted.saved[-1][0]
    assert_same(run.saved[-1][1], uninterrupted.saved[-1][1])


def test_a_finished_training_is_not_trained_further(tmp_path, uninterrupted):
    run = Run(uninterrupted.folder, Batches(lambda *place: pytest.fail("trained")))
    content = run.file.read_bytes()
    assert run() == uninterrupted.history
    assert_same(weights(run.model), weights(uninterrupted.model))
    assert run.file.read_bytes() == content
    assert not run.saved


def test_fit_is_the_plain_loop_with_the_average_validated_and_saved(uninterrupted):
    """Step by step, the moving average in NumPy."""
    model, optimizer = make()
    optimizer.build(model.trainable_variables)
    step, sync = training_step(model, optimizer, model.training_loss)
    averages, count, seen, losses = weights(model), 0, [], []
    for epoch in range(EPOCHS):
        carry, total = CARRY, 0.0
        for i in range(STEPS):
            loss, carry = step(Batches()(epoch)[i], carry)
            sync()
            total += float(loss)
            count += 1
            momentum = min(0.9, (count + 1) / (count + 10))
            values = weights(model)
            averages = [momentum * a + (1 - momentum) * v for a, v in zip(averages, values)]
        seen.append(averages)
        losses.append(total / STEPS)
    np.testing.assert_allclose([h["loss"] for h in uninterrupted.history], losses, rtol=1e-5)
    for expected, found in zip(seen, uninterrupted.validated, strict=True):
        assert_close(found, expected)
    assert_close(weights(uninterrupted.model), values)
    assert not np.allclose(values[0], averages[0], rtol=1e-3)
    for epoch, saved in uninterrupted.saved:
        assert_same(saved, uninterrupted.validated[epoch - 1])


def assert_close(arrays, expected):
    for array, other in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(array, other, rtol=1e-4, atol=1e-6)


def test_without_average_the_weights_themselves_are_validated(tmp_path):
    run = Run(tmp_path, average=0.0, epochs=1)
    run()
    assert_same(run.validated[0], weights(run.model))


def test_without_validation_the_loss_of_the_training_stands_in(tmp_path):
    run = Run(tmp_path)
    run.validate = None
    history = run()
    assert [h["validation"] for h in history] == [h["loss"] for h in history]
    assert run.saved


def test_history_log_and_curve(uninterrupted):
    assert [h["epoch"] for h in uninterrupted.history] == [1, 2, 3]
    assert uninterrupted.history[0]["learning_rate"] > uninterrupted.history[2]["learning_rate"]
    with (uninterrupted.folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{k: str(v) for k, v in h.items()} for h in uninterrupted.history]
    speed = {"rows_per_second", "device_idle", "minutes", "backend"}
    assert set(rows[0]) == {"epoch", "loss", "validation", "learning_rate", *speed}
    assert rows[0]["backend"] == keras.backend.backend()
    assert (uninterrupted.folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    names = {path.name for path in uninterrupted.folder.iterdir()}
    assert names == {training.STATE_FILE, training.LOCK_FILE, "log.csv", "loss.png"}  # nothing temporary stays


@pytest.mark.parametrize(
    "validations, patience, epochs, saved",
    [
        ([3, 2, 1, 0.5], None, 4, [1, 2, 3, 4]),
        ([3, 2, 2, 2.5], None, 4, [1, 2]),
        ([3, 4, 2, 5], None, 4, [1, 3]),
        ([3, 4, 2, 5], 1, 2, [1]),
        ([3, 4, 2, 5, 6, 1], 2, 5, [1, 3]),
        ([3, 3, 3, 3], 3, 4, [1]),
    ],
)
def test_saved_when_better_and_stopped_when_out_of_patience(
    tmp_path, monkeypatch, validations, patience, epochs, saved
):
    def no_step(model, optimizer, loss_function, averages, momentum):
        return lambda batch, carry: (1.0, carry), lambda: None

    monkeypatch.setattr(training, "training_step", no_step)
    run = Run(tmp_path, validations=validations, epochs=len(validations), patience=patience)
    assert [h["validation"] for h in run()] == validations[:epochs]
    assert [epoch for epoch, _ in run.saved] == saved
    assert len(run()) == epochs  # asked again, it knows


@pytest.mark.parametrize("epoch, step, bad", [(0, 4, np.nan), (1, 0, np.inf), (1, STEPS - 1, np.nan)])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good(tmp_path, uninterrupted, epoch, step, bad):
    run = Run(tmp_path, Batches(change=lambda e, i, y: y * bad if (e, i) == (epoch, step) else y))
    with pytest.raises(TrainingDiverged, match=rf"Epoch {epoch + 1}, step \d+: a loss of .*{tmp_path.name}.* Lower"):
        run()
    arrays, record = state(tmp_path)
    assert (record["epoch"], record["step"]) == (epoch, 0)
    assert all(np.isfinite(a).all() for a in arrays)
    assert [e for e, _ in run.saved] == [1][:epoch]
    run.batches = Batches()
    assert_equals(run, uninterrupted)  # the state was good


def test_a_validation_that_is_not_finite_stops(tmp_path):
    run = Run(tmp_path, validations=[1.0, float("nan")])
    with pytest.raises(TrainingDiverged, match="Epoch 2, step 12: a validation loss of nan"):
        run()
    assert [e for e, _ in run.saved] == [1]
    assert state(tmp_path)[1]["epoch"] == 1


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    """The last step of an epoch spoils them; a validation that does not look would not notice."""
    run = Run(tmp_path, validations=[1.0, 2.0], average=0.0)
    validate = run.validate

    def spoil():
        if run.validated:
            run.model.inner.bias.assign([np.nan] * 3)
        return validate()

    run.validate = spoil
    with pytest.raises(TrainingDiverged, match="weights that are not finite"):
        run()
    assert state(tmp_path)[1]["epoch"] == 1


def test_other_settings_are_refused(tmp_path):
    settings = {"units": 3, "data": {"name": "a", "sha256": "0"}, "rate": 0.1}
    run = Run(tmp_path, at((0, 2)), settings=settings)
    with pytest.raises(KeyboardInterrupt):
        run()
    content = run.file.read_bytes()
    run.options["settings"] = {"units": 4, "data": {"name": "a", "sha256": "1"}, "seed": 1}
    message = (
        r"other settings \(units: 3, now 4, rate: 0.1, now None, data.sha256: '0', now '1', seed: None, now 1\). "
        "Choose another"
    )
    with pytest.raises(ZooError, match=message):
        run()
    assert run.file.read_bytes() == content
    run.options["settings"] = dict(settings)
    assert len(run()) == EPOCHS


@pytest.mark.parametrize(
    "number", [{"epochs": 0}, {"average": 1.0}, {"average": -0.1}, {"patience": -1}, {"checkpoint_minutes": -1.0}]
)
def test_numbers_out_of_range(number, tmp_path):
    run = Run(tmp_path)
    run.options.update(number)
    with pytest.raises(ValueError, match=f"`{next(iter(number))}` must be .* Received"):
        run()
    assert not run.file.exists()


@pytest.mark.parametrize(
    "damage", [lambda b: b[:100], lambda b: b"", lambda b: b"x" * len(b), lambda b: save({"000000": np.zeros(3)})]
)
def test_a_damaged_state_is_an_error_that_says_what_to_do(tmp_path, uninterrupted, damage):
    run = Run(tmp_path)
    run.file.write_bytes(damage(uninterrupted.file.read_bytes()))
    with pytest.raises(CorruptCheckpoint, match="training_state.safetensors is damaged.*empty this one"):
        run()


def test_signals_are_given_back(uninterrupted):
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    Run(uninterrupted.folder)()
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_a_thread_can_train(tmp_path, uninterrupted):
    run, done = Run(tmp_path, epochs=1), []
    thread = threading.Thread(target=lambda: done.append(run()))
    thread.start()
    thread.join()
    assert timeless(done[0][0])["validation"] == uninterrupted.history[0]["validation"]


def test_progress_lines(tmp_path, monkeypatch):
    clock = iter(range(0, 10**6, 6))  # six seconds between any two looks
    monkeypatch.setattr(training_log, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(training, "CHECK_EVERY", 2)
    run = Run(tmp_path, epochs=2)
    history = run()
    line = r"epoch 1/2  4/12  loss \d+\.\d{4} \(\d+\.\d{3} bits\)  \d+ rows/s, \d+\.\d% idle  \d+\.\d min left"
    assert any(re.fullmatch(line, found) for found in run.lines), run.lines
    ends = [line for line in run.lines if line.startswith(("epoch 1/2: ", "epoch 2/2: "))]
    for record, line in zip(history, ends, strict=True):
        bits = record["validation"] / np.log(2)
        assert f"loss {record['loss']:.4f}, validation {record['validation']:.4f} ({bits:.3f} bits), " in line


def test_progress_figures(monkeypatch):
    """120 steps of 5 rows in 20 s are 30 rows/s; 280 steps are left. In 9.9 of these nothing was computed."""
    lines, now = [], [100.0]
    monkeypatch.setattr(training_log, "time", SimpleNamespace(monotonic=lambda: now[0]))
    state = SimpleNamespace(epoch=0, step=0, loss_sum=0.0)
    progress = Progress(lines.append, SimpleNamespace(size=5, unit="rows"), 200, 2, state, None)
    state.step, state.loss_sum = 120, 120 * np.log(2) * 1.5
    now[0] += 9.9
    progress.show()
    assert lines == []
    with progress.computing():
        now[0] += 9.1
    with progress.computing():
        now[0] += 1.0
    progress.show()
    progress.stop()
    now[0] += 1000  # of validation
    assert lines == ["epoch 1/2  120/200  loss 1.0397 (1.500 bits)  30 rows/s, 49.5% idle  0.8 min left"]
    assert progress.rate == 30 and progress.idle == pytest.approx(0.495)


@pytest.mark.parametrize("what", ["a failing batch", "divergence", "nothing"])
def test_the_thread_ends_with_the_training(tmp_path, monkeypatch, what):
    monkeypatch.setattr(training, "prefetched", prefetched)

    def before(epoch, i):
        if what == "a failing batch" and (epoch, i) == (1, 5):
            raise OSError("a torn file")

    def change(epoch, i, y):
        return y * np.nan if what == "divergence" and (epoch, i) == (1, 5) else y

    run = Run(tmp_path, Batches(before, change))
    errors = {"a failing batch": OSError, "divergence": TrainingDiverged}
    threads = threading.active_count()
    with contextlib.nullcontext() if what == "nothing" else pytest.raises(errors[what]):
        run()
    assert threading.active_count() == threads


class Slow:
    """Items that come one after another, each as soon as the last step allows."""

    def __init__(self, failing=None):
        self.made, self.failing = [], failing

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == self.failing:
            raise OSError("a torn file")
        self.made.append(i)
        return i


def test_batches_are_made_ahead_and_in_order():
    slow = Slow()
    coming = prefetched(slow, start=1)
    assert next(coming) == 1
    for _ in range(1000):
        if slow.made == [1, 2, 3]:
            break
        time.sleep(0.01)
    assert slow.made == [1, 2, 3]  # two ahead, no more
    assert list(coming) == [2, 3, 4, 5]
    assert list(prefetched(Slow(), start=6)) == []


def test_what_goes_wrong_ahead_is_raised_in_its_place():
    coming = prefetched(Slow(failing=2))
    assert [next(coming), next(coming)] == [0, 1]
    with pytest.raises(OSError, match="a torn file"):
        next(coming)


def test_claim_folder(tmp_path):
    training.claim_folder(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    training.claim_folder(tmp_path / "new" / "folder")
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="full is not empty and holds no training"):
        training.claim_folder(full)
    (full / training.STATE_FILE).write_text("")
    training.claim_folder(full)
    killed = tmp_path / "killed"  # while the first state was being written
    killed.mkdir()
    for name in (".DS_Store", ".0123.tmp"):
        (killed / name).write_text("half")
    training.claim_folder(killed)


def test_half_a_state_is_removed(tmp_path):
    run = Run(tmp_path)
    (tmp_path / ".0123.tmp").write_text("half")
    run()
    assert not (tmp_path / ".0123.tmp").exists()


def test_two_in_one_folder(tmp_path):
    run, second = Run(tmp_path), Run(tmp_path)

    def validate():
        with pytest.raises(FileExistsError, match="is in use: another process"):
            second()
        return 1.0

    run.validate = validate
    run()


@pytest.mark.parametrize("path", ["file", "file/below", "a" * 300, "null\0byte"])
def test_claim_folder_where_none_can_be(tmp_path, path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises((OSError, ValueError)):
        training.claim_folder(tmp_path / path)
    assert (tmp_path / "file").read_text() == "mine"


def test_claim_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *arguments: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="is not writable. Choose another"):
        training.claim_folder(tmp_path)


def test_environment():
    environment = json.loads(json.dumps(training.environment()))
    assert {"python", "keras", "numpy", keras.backend.backend(), "recurrent-zoo"} == set(environment["versions"])
    assert environment["versions"]["keras"] == keras.__version__
    assert "CPU cores" in environment["hardware"]
    assert environment["precision"] == "float32"
