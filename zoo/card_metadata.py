"""What the hub reads of a card: the YAML at its head with the figures as a model index, and `.eval_results/`."""

import re

PIPELINES = {"language-model": "text-generation", "text-classification": "text-classification"}
NAMES = {  # of metrics on the hub, where they differ from ours
    "nats_per_character": "nats per character",
    "bits_per_character": "bpc",
    "bits_per_byte": "bpb",
}


def head(name, config, manifest):
    """The YAML between the two lines of dashes at the head of a card.

    Args:
        name: of the model; `"owner/name"` on the hub.
        config: its `config.json`.
        manifest: its `manifest.json`.
    """
    from huggingface_hub import ModelCardData

    about, metrics = manifest.get("about", {}), manifest.get("metrics", [])
    fields = {
        "library_name": "keras",
        "pipeline_tag": PIPELINES.get(config["task"], config["task"]),
        "license": about.get("license"),
        "language": about.get("language"),
        "datasets": about.get("datasets"),
        "tags": ["recurrent-zoo", config["model"]["recurrent"], config["task"]],
        "base_model": _on_hub(manifest.get("base_model")),
        "metrics": sorted({_named(figure) for metric in metrics for figure in metric["figures"]}) or None,
    }
    data = ModelCardData(**{key: value for key, value in fields.items() if value})
    if metrics:
        data.model_name = name.rpartition("/")[2]
        data.eval_results = [*_results(fields["pipeline_tag"], metrics)]
    return f"---\n{data.to_yaml()}\n---"


def eval_results(manifest):
    """The text of a file in `.eval_results/`, or None if no figure is of a data set on the hub."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    entries = [
        EvalResultEntry(metric["dataset"], figure, value, notes=metric["command"])
        for metric in manifest.get("metrics", [])
        if "dataset" in metric
        for figure, value in metric["figures"].items()
    ]
    return yaml_dump(eval_result_entries_to_yaml(entries)) if entries else None


def figures(text):
    """The figures at the head of a card, as the hub reads it: a list of `(data, metric, number)`.

    Raises:
        ValueError: there is no such head, or it is not what the hub takes.
    """
    import yaml

    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    try:
        if found is None or any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(found[1])):
            raise ValueError("there is none, or it refers to itself")
        head = yaml.safe_load(found[1])
        if head["library_name"] != "keras":
            raise ValueError("it does not say `library_name: keras`")
        groups = [group for model in head.get("model-index", []) for group in model["results"]]
        shown = [(group["dataset"]["name"], one["type"], one["value"]) for group in groups for one in group["metrics"]]
        return [(str(data), str(metric), float(value)) for data, metric, value in shown]
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())!s:.200}") from None


def expected_figures(manifest):
    """What `figures` gives for the card of a manifest."""
    metrics = manifest.get("metrics", [])
    return [(one["data"], _named(name), float(value)) for one in metrics for name, value in one["figures"].items()]


def _results(task, metrics):
    from huggingface_hub import EvalResult

    for metric in metrics:
        for figure, value in metric["figures"].items():
            yield EvalResult(
                task_type=task,
                dataset_type=metric.get("dataset", "text"),
                dataset_name=metric["data"],
                dataset_config=metric["data"],  # by which the hub's format tells groups of figures apart
                metric_type=_named(figure),
                metric_value=value,
                metric_name=figure.replace("_", " "),
            )


def _named(figure):
    return NAMES.get(figure, figure)


def _on_hub(base):
    """`"owner/name"` of a base model that is on the hub."""
    return base.partition("@")[0] if base and "/" in base else None
