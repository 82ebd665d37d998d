"""Recurrent networks on Keras 3: layers, recipes, and pretrained checkpoints that load in one line."""

from zoo import layers

__version__ = "0.1.0"

__all__ = ["layers"]
