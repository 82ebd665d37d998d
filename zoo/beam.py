"""Models of the zoo in Apache Beam's RunInference: bulk work on one machine, or on Dataflow, Flink or Spark.

Apache Beam is not installed with the zoo: `pip install "recurrent-zoo[beam]"`.
"""

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

import zoo


class ZooModelHandler(ModelHandler):
    """Lets `apache_beam.ml.inference.base.RunInference` classify or translate texts.

    Each worker loads the model once, by the name or path that is given here: it must mean the same there, which a
    shipped name and a pinned one on the hub, `"alice/mine@<commit>"`, do.

    Args:
        model: as in `zoo.load`.
        batch_size: texts that are read side by side, at most.

    The elements are str; the results `apache_beam.ml.inference.base.PredictionResult` with a
    `zoo.models.Classification`, or a str for a translator, as `inference`.
    """

    def __init__(self, model, batch_size=1024):
        super().__init__()
        self.model, self.batch_size = str(model), batch_size

    def load_model(self):
        model = zoo.load(self.model)
        if model.task not in ("text-classification", "translation"):
            raise ValueError(f"{self.model} is a {model.task} model; Beam runs classifiers and translators.")
        return model

    def run_inference(self, batch, model, inference_args=None):
        run = model.classify if model.task == "text-classification" else model.translate
        return map(PredictionResult, batch, run(list(batch), **(inference_args or {})))

    def batch_elements_kwargs(self):
        return {"min_batch_size": min(64, self.batch_size), "max_batch_size": self.batch_size}

    def get_metrics_namespace(self):
        return "recurrent_zoo"
