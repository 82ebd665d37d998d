"""Model cards, generated from configuration and manifest: nobody types a figure."""


def card(name, config, manifest, size):
    """The card of one checkpoint.

    Args:
        name: of the checkpoint.
        config: its `config.json`.
        manifest: its `manifest.json`.
        size: of the weights, in bytes.

    Returns:
        Markdown.
    """
    training, metrics = manifest.get("training", {}), manifest.get("metrics", [])
    parts = [f"# {name}", manifest.get("description", ""), _usage(name, config["task"])]
    if metrics:
        parts += ["## Figures", *map(_metric, metrics)]
    model = "\n".join(f"| {key} | {value} |" for key, value in config["model"].items())
    parts += [
        "## Model",
        f"Weights stored as {config['weights']}, {size / 2**20:.1f} MiB.\n\n| | |\n| --- | --- |\n{model}",
    ]
    if training:
        parts += ["## Training", _training(training)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _usage(name, task):
    line = {
        "language-model": 'print(model.generate("The ", length=400, temperature=0.8, seed=1))',
        "text-classification": 'print(model.classify("I want my two hours back."))',
        "translation": 'print(model.translate("A man rides a red bicycle."))',
    }[task]
    return f'```python\nimport zoo\n\nmodel = zoo.load("{name}")\n{line}\n```'


def _metric(metric):
    figures = ", ".join(f"{key.replace('_', ' ')} {_figure(value)}" for key, value in metric["figures"].items())
    return f"* {metric['data']}: {figures}\n  ```\n  {metric['command']}\n  ```"


def _training(training):
    lines = [f"```\n{training['command']}\n```"] if "command" in training else []
    rows = {key: value for key, value in training.items() if key not in ("command", "history")}
    table = "\n".join(f"| {key.replace('_', ' ')} | {_figure(value)} |" for key, value in rows.items())
    return "\n\n".join([*lines, f"| | |\n| --- | --- |\n{table}"])


def _figure(value):
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_figure(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(map(_figure, value))
    return str(value)


def model_cards(infos):
    """`MODEL_CARDS.md`: a table of the shipped models for each task.

    Args:
        infos: list of what `zoo.info` gives.

    Returns:
        Markdown.
    """
    parts = [
        "# Model cards",
        "Generated from `checkpoints/*/manifest.json` by `python recipes/ship.py`; each name links to its card, which "
        "has the command that trained it and the command that measures it again.",
    ]
    for task in sorted({info["task"] for info in infos}):
        parts += [f"## {task}", _table([info for info in infos if info["task"] == task])]
    return "\n\n".join(parts) + "\n"


def _table(infos):
    lines = [
        "| model | architecture | weights | size | measured on | figures | trained on | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for info in infos:
        model, training = info["model"], info.get("training", {})
        metric = next(iter(info.get("metrics", [])), {"data": "", "figures": {}})
        figures = ", ".join(f"{key.replace('_', ' ')} {value:.4f}" for key, value in metric["figures"].items())
        lines.append(
            f"| [{info['name']}](checkpoints/{info['name']}/README.md) "
            f"| {model['recurrent']}, {model['layers']} x {model['units']} "
            f"| {info['parameters'] / 1e6:.2f} M | {info['bytes'] / 2**20:.1f} MiB "
            f"| {metric['data']} | {figures} | {training.get('hardware', '')} | {training.get('minutes', '')} |"
        )
    return "\n".join(lines)
