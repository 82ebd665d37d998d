"""Model cards, generated from configuration and manifest: nobody types a figure."""

from zoo.card_metadata import head

MOST_EPOCHS = 20  # of a curve in a card
LIMITS = {
    "language-model": "It writes what its training text makes likely, not what is true or fit to be said, and has "
    "learnt the prejudices of that text. It knows no other language and no later time.",
    "text-classification": "It knows its labels only, and gives one of them to any text, whatever that is about. It "
    "has learnt the prejudices of the texts and of those who labelled them. Do not let it decide about people.",
    "translation": "It was trained on sentences, one at a time, and on no others than those named below: expect errors "
    "with other topics, names, numbers and long sentences, and with gender, which it guesses as its data does.",
}


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
    training, metrics, about = (manifest.get(key, {}) for key in ("training", "metrics", "about"))
    parts = [head(name, config, manifest), f"# {name}", manifest.get("description", ""), _usage(name, config["task"])]
    if metrics:
        parts += ["## Figures", *map(_metric, metrics)]
    model = "\n".join(f"| {key} | {value} |" for key, value in config["model"].items())
    parts += [
        "## Model",
        f"Weights stored as {config['weights']}, {size / 2**20:.1f} MiB.\n\n| | |\n| --- | --- |\n{model}",
        "## Limits",
        f"{LIMITS[config['task']]} {about.get('limits', '')}".strip(),
    ]
    if training or about.get("terms") or manifest.get("base_model"):
        base = f"Fine-tuned from {manifest['base_model']}." if "base_model" in manifest else ""
        parts += ["## Training", base, about.get("terms", ""), _training(training), _curve(training.get("history", []))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _usage(name, task):
    line = {
        "language-model": 'print(model.generate("The ", length=400, temperature=0.8, seed=1))',
        "text-classification": 'print(model.classify("I want my two hours back."))',
        "translation": 'print(model.translate("A man rides a red bicycle."))',
    }[task]
    install = "With `pip install recurrent-zoo`:\n\n"
    return f'{install}```python\nimport zoo\n\nmodel = zoo.load("{name}")\n{line}\n```'


def _metric(metric):
    figures, before = _told(metric["figures"]), metric.get("before")
    if before:
        figures += f" (with the weights as {before['weights']}: {_told(before['figures'])})"
    return f"* {metric['data']}: {figures}\n  ```\n  {metric['command']}\n  ```"


def _told(figures):
    return ", ".join(f"{key.replace('_', ' ')} {_figure(value)}" for key, value in figures.items())


def _training(training):
    lines = [f"```\n{training['command']}\n```"] if "command" in training else []
    rows = {key: value for key, value in training.items() if key not in ("command", "history")}
    table = "\n".join(f"| {key.replace('_', ' ')} | {_figure(value)} |" for key, value in rows.items())
    return "\n\n".join([*lines, f"| | |\n| --- | --- |\n{table}"])


def _curve(history):
    """The history as a table, with about as many rows as fit on a screen."""
    columns = [key for key in ("epoch", "loss", "validation", "bleu", "accuracy") if history and key in history[-1]]
    if "loss" not in columns:
        return ""
    step = -(-len(history) // MOST_EPOCHS)
    rows = [history[i] for i in range(len(history)) if (i + 1) % step == 0 or i == len(history) - 1]
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(_figure(row.get(key, '')) for key in columns)} |" for row in rows)])


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
        measured = metric["data"].replace("|", r"\|")  # a cell's end in Markdown
        lines.append(
            f"| [{info['name']}](checkpoints/{info['name']}/README.md) "
            f"| {model['recurrent']}, {model['layers']} x {model['units']} "
            f"| {info['parameters'] / 1e6:.2f} M | {info['bytes'] / 2**20:.1f} MiB "
            f"| {measured} | {figures} | {training.get('hardware', '')} | {training.get('minutes', '')} |"
        )
    return "\n".join(lines)
