"""Models that take text and give text, one task a file."""

from zoo.models.classifier import Classification, Classifier, ClassifierConfig
from zoo.models.language_model import LanguageModel, LanguageModelConfig

__all__ = ["Classification", "Classifier", "ClassifierConfig", "LanguageModel", "LanguageModelConfig"]
