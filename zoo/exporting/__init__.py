"""Models for those who do not have the zoo: as files of stock Keras, LiteRT and TensorFlow."""

import tempfile
from pathlib import Path

import keras

from zoo.exporting.one_step import one_step

FORMATS = ("keras", "litert", "savedmodel")


def export(model, path, format="keras"):
    """Writes a model to a file, or a folder, that needs no zoo to be used.

    `"keras"`: a `.keras` file of stock layers only: one step of the model, from a token and states to probabilities and
    states, see `zoo.exporting.one_step`. `"litert"`: the same for one sequence as a `.tflite` file of built-in
    operations. `"savedmodel"`: a folder for `tf.saved_model.load` with text going in and coming out, see
    `zoo.exporting.served`; it is made with the TensorFlow backend.

    Args:
        model: a model of the zoo; for `"keras"` and `"litert"` a language model or a classifier.
        path: what to write; it must not exist.
        format: one of `zoo.exporting.FORMATS`.

    Raises:
        FileExistsError: there is something at `path`.
        ValueError: the format is unknown, or cannot hold this model.

    Example:

    >>> config = zoo.models.LanguageModelConfig(256, "mlstm", units=4, embedding_size=2)
    >>> zoo.export(zoo.models.LanguageModel(config, zoo.tokenizers.ByteTokenizer()), tmp_path / "model.keras")
    >>> step = keras.models.load_model(tmp_path / "model.keras")
    >>> sorted(step.input)
    ['state_0_0', 'state_0_1', 'token']
    """
    if format not in FORMATS:
        raise ValueError(f"`format` must be one of {FORMATS}. Received: format={format!r:.100}")
    path = Path(path).expanduser()
    if path.exists():
        raise FileExistsError(f"{path} exists. Choose another name, or remove it.")
    if format != "keras" and keras.backend.backend() != "tensorflow":
        raise ValueError(f"The format {format!r} is TensorFlow's: set KERAS_BACKEND=tensorflow.")
    if format == "keras" and path.suffix != ".keras":
        raise ValueError(f"A file of Keras ends with .keras. Received: path={str(path)!r:.200}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        made = Path(folder) / ("model.keras" if format == "keras" else "model.tflite")
        if format == "keras":
            one_step(model).save(made)
        elif format == "litert":
            one_step(model, batch_size=1).export(made, format="litert", verbose=False)
        else:
            from zoo.exporting.served import write

            made = Path(folder) / "model"
            write(model, made)
        made.rename(path)
