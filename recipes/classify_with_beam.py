"""Labels the rows of files by Apache Beam, here or on a cluster: the rows and labels of `zoo classify --file`.

python recipes/classify_with_beam.py mlstm-sentiment --files "reviews-*.csv" --output labelled
python recipes/classify_with_beam.py mlstm-sentiment --files "gs://..." --output gs://... --runner DataflowRunner ...

Writes JSON Lines, `OUTPUT-00000-of-0000N.jsonl`, in no particular order. What it does not know are options of Beam.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import apache_beam as beam  # noqa: E402
from apache_beam.io import fileio  # noqa: E402
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

from recipes import messages  # noqa: E402
from zoo.beam import ZooModelHandler  # noqa: E402
from zoo.bulk import ADDED, check_columns  # noqa: E402
from zoo.rows import rows  # noqa: E402
from zoo.text_preparation import without_surrogates  # noqa: E402


def records(file, text_column):
    """The rows of one file, each as JSON, with its text."""
    with tempfile.TemporaryDirectory() as folder:  # it may lie in a bucket; `rows` reads local files
        local = Path(folder) / Path(file.metadata.path).name
        with file.open() as opened:
            local.write_bytes(opened.read())
        for row in rows(local, text_column, None):
            check_columns(file.metadata.path, row)
            yield json.dumps(row.record), without_surrogates(row.text)


def labelled(pair):
    """The row with its label, as JSON."""
    record, result = pair
    label = result.inference.label, round(result.inference.probability, 6)
    return without_surrogates(json.dumps({**json.loads(record), **dict(zip(ADDED, label))}, ensure_ascii=False))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a classifier, as in zoo.load; every worker loads it")
    parser.add_argument("--files", required=True, help=".csv, .tsv or .jsonl; a pattern, also of a bucket")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--output", required=True, help="how the names of the files begin that are written")
    options, of_beam = parser.parse_known_args(argv)
    with beam.Pipeline(options=PipelineOptions(of_beam)) as pipeline:
        (
            pipeline
            | fileio.MatchFiles(options.files)
            | fileio.ReadMatches(compression="uncompressed")
            | beam.FlatMap(records, options.text_column)
            | beam.Reshuffle()
            | RunInference(KeyedModelHandler(ZooModelHandler(options.model)))
            | beam.Map(labelled)
            | beam.io.WriteToText(options.output, file_name_suffix=".jsonl")
        )


if __name__ == "__main__":
    with messages():
        main()
