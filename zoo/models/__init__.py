"""Models that take text and give text, one task a file."""

from zoo.models.classifier import Classification, Classifier, ClassifierConfig
from zoo.models.language_model import LanguageModel, LanguageModelConfig
from zoo.models.translator import Translator, TranslatorConfig

__all__ = [
    "Classification",
    "Classifier",
    "ClassifierConfig",
    "LanguageModel",
    "LanguageModelConfig",
    "Translator",
    "TranslatorConfig",
]
