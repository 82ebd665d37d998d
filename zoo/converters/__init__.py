"""From the models of others to models of the zoo. Only arrays and JSON are read; nothing is unpickled or run."""

from zoo.converters.addons import addons_model, addons_peephole
from zoo.converters.keras_models import keras_lstm
from zoo.converters.openai import openai_mlstm
from zoo.converters.text_models import read_vocabulary

__all__ = ["addons_model", "addons_peephole", "keras_lstm", "openai_mlstm", "read_vocabulary"]
