"""Recurrent networks on Keras 3: layers, recipes, and pretrained checkpoints that load in one line."""

from zoo import checkpoint, dynamic_evaluation, errors, layers, models, samplers, streams, tokenizers, training
from zoo.checkpoint import save
from zoo.exporting import export
from zoo.finetuning import finetune
from zoo.hub import publish
from zoo.loading import info, list_models, load
from zoo.translator_training import finetune_translator

__version__ = "0.1.0"

__all__ = [
    "checkpoint",
    "dynamic_evaluation",
    "errors",
    "export",
    "finetune",
    "finetune_translator",
    "info",
    "layers",
    "list_models",
    "load",
    "models",
    "publish",
    "samplers",
    "save",
    "streams",
    "tokenizers",
    "training",
]
