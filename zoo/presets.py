"""The models that have a name. A table of data, written by `python -m recipes.cards`."""

PRESETS = {}
