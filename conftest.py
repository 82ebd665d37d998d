"""What the examples in docstrings may take for granted."""

import importlib.util

import keras
import numpy as np
import pytest

import zoo

collect_ignore = [] if importlib.util.find_spec("apache_beam") else ["zoo/beam.py"]  # an extra


@pytest.fixture(autouse=True)
def names_of_the_examples(doctest_namespace, tmp_path):
    doctest_namespace.update(keras=keras, np=np, zoo=zoo, tmp_path=tmp_path)
