"""Multi30k (Elliott et al. 2016; Elliott et al. 2017; Barrault et al. 2018) for TensorFlow Datasets, which has none.

English captions of pictures and their translations into German, French and Czech, in three splits: train, 29,000 lines;
validation, 1,014; test (that of 2016), 1,000. The captions are for research and education, not for commercial use.
"""

from pathlib import Path

import tensorflow_datasets as tfds

from zoo.pairs import pairs
from zoo.text_files import OPENERS

URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
LANGUAGES = ("de", "fr", "cs")


class Multi30k(tfds.core.GeneratorBasedBuilder):
    """`Multi30k(config="en-de")`; its examples are dicts such as `{"en": ..., "de": ...}`.

    Args:
        manual_dir: folder with the files `train.en`, `train.de`, `val.en`, `test_2016_flickr.en` and so on, also `.gz`
            or `.xz`; None to download them.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=f"en-{language}", description=f"English and {language}.") for language in LANGUAGES
    ]

    def __init__(self, *, manual_dir=None, **kwargs):
        self.manual_dir = Path(manual_dir).expanduser() if manual_dir else None
        super().__init__(**kwargs)

    @property
    def languages(self):
        return tuple(self.builder_config.name.split("-"))

    def _info(self):
        features = tfds.features.FeaturesDict({language: tfds.features.Text() for language in self.languages})
        return self.dataset_info_from_configs(
            features=features, supervised_keys=self.languages, homepage="https://github.com/multi30k/dataset"
        )

    def _split_generators(self, dl_manager):
        names = {split: [f"{name}.{language}" for language in self.languages] for split, name in SPLITS.items()}
        if self.manual_dir is None:
            paths = dl_manager.download({split: [f"{URL}/{one}.gz" for one in two] for split, two in names.items()})
        else:
            paths = {split: [self._file(one) for one in two] for split, two in names.items()}
        return {split: self._generate_examples(*two) for split, two in paths.items()}

    def _file(self, name):
        for ending in ("", *OPENERS):
            if (path := self.manual_dir / f"{name}{ending}").is_file():
                return path
        raise FileNotFoundError(f"There is no {name} in {self.manual_dir}, nor with .gz or .xz.")

    def _generate_examples(self, source, target):
        for pair in pairs(source, target):
            yield pair.line, dict(zip(self.languages, pair[1:]))
