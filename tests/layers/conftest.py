"""Puts `numerics`, which these tests share, within reach: pytest's importlib mode leaves their folder off the path."""

import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).parent))

if keras.backend.backend() == "jax":
    import jax

    jax.config.update("jax_enable_x64", True)
