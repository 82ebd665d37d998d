"""What the examples in docstrings may take for granted, and how all tests compile."""

import importlib.util
import os

import keras
import numpy as np
import pytest

import zoo

collect_ignore = [] if importlib.util.find_spec("apache_beam") else ["zoo/beam.py"]  # an extra
# Most of the time goes into compiling what runs for a moment. XLA reads this when it first compiles, here and in the
# processes that tests start.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


@pytest.fixture(autouse=True)
def names_of_the_examples(doctest_namespace, tmp_path):
    doctest_namespace.update(keras=keras, np=np, zoo=zoo, tmp_path=tmp_path)
