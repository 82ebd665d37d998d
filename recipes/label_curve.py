"""What a pretraining is worth: accuracy over the number of labels, beside the same model from random weights.

Reference: Radford, Jozefowicz & Sutskever 2017, figure 2; Howard & Ruder 2018, figure 3.
"""

import csv
import functools
import io

import numpy as np

import zoo
from zoo import examples
from zoo.atomic_files import atomic_write
from zoo.evaluation import evaluate

STARTS = ("pretrained", "scratch")
TABLE, PICTURE = "curve.csv", "curve.png"
READ_IN_ALL = 16_000  # texts, in all epochs together, of a training with few labels


def measure(model, rows, sizes, held_back, most_epochs, settings, output):
    """Fine-tunes with some of the labels and with all, from the pretrained weights and from random ones.

    The figures are of rows that no training saw; each training chooses its epoch by a part of its own rows. What is in
    the table already is not measured again.

    Args:
        model: name or folder of a pretrained model.
        rows: list of `zoo.rows.Row`s.
        sizes: numbers of labels, besides all.
        held_back: fraction of the rows for the figures.
        most_epochs: of a training with few labels, whose batches are a quarter of the size.
        settings: of `zoo.finetune`.
        output: folder for the runs, `curve.csv` and `curve.png`.

    Returns:
        Dict from `(labels, start)` to accuracy.
    """
    labels = np.array([row.label for row in rows])
    rest, held = examples.stratified(labels, held_back, settings["seed"])
    output.mkdir(parents=True, exist_ok=True)
    points = _read(output / TABLE)
    for size in (*sizes, len(rest)):
        some, own = rest, {**settings, "validation": 0.1}
        if size < len(rest):
            some = rest[examples.stratified(labels[rest], size / len(rest), settings["seed"])[1]]
            own |= {
                "epochs": min(most_epochs, max(settings["epochs"], READ_IN_ALL // size)),
                "batch_tokens": settings["batch_tokens"] // 4,
                "validation": 0.2,
                "patience": None,
            }
        for start in STARTS:
            if (size, start) in points:
                continue
            tuned = zoo.finetune(
                model,
                ([rows[i].text for i in some], labels[some].tolist()),
                output=output / f"{start}-{size}",
                pretrained=start == "pretrained",
                report=functools.partial(print, flush=True),
                **own,
            )
            points[size, start] = evaluate(tuned, (rows[i] for i in held))["accuracy"]
            print(f"{size:,} labels, {start}: accuracy {points[size, start]:.4f}", flush=True)
            _write(output / TABLE, points)
    atomic_write(output / PICTURE, _picture(points))
    return points


def _read(path):
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {(int(row["labels"]), row["start"]): float(row["accuracy"]) for row in csv.DictReader(file)}


def _write(path, points):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("labels", "start", "accuracy"), *((*key, value) for key, value in points.items())])
    atomic_write(path, text.getvalue().encode())


def _picture(points):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for start in STARTS:
        sizes, values = zip(*((size, 100 * value) for (size, s), value in sorted(points.items()) if s == start))
        axes.plot(sizes, values, marker="o", label=start)
    axes.set(xlabel="labelled texts", ylabel="accuracy (%)", xscale="log")
    axes.legend()
    axes.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
