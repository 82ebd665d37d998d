"""What the examples in docstrings may take for granted."""

import keras
import numpy as np
import pytest

import zoo


@pytest.fixture(autouse=True)
def names_of_the_examples(doctest_namespace, tmp_path):
    doctest_namespace.update(keras=keras, np=np, zoo=zoo, tmp_path=tmp_path)
