"""The command `zoo`."""

import argparse
import logging
import sys

import zoo
from zoo.commands import (
    cache,
    classify,
    convert,
    download,
    evaluate,
    export,
    finetune,
    generate,
    info,
    list_models,
    publish,
    trace,
    translate,
    verify,
)

COMMANDS = {
    "list": list_models,
    "info": info,
    "generate": generate,
    "classify": classify,
    "trace": trace,
    "translate": translate,
    "finetune": finetune,
    "convert": convert,
    "evaluate": evaluate,
    "export": export,
    "verify": verify,
    "publish": publish,
    "download": download,
    "cache": cache,
}


def main(argv=None):
    """Runs `zoo` with these arguments and returns its exit status: 0, 2 for an error, 130 when interrupted."""
    options, rest = parser().parse_known_args(argv)
    command = COMMANDS[options.command]
    if rest and (command not in (classify, translate) or any(word.startswith("-") for word in rest)):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.text += rest  # texts after an option, which argparse takes for nobody's
    logging.getLogger("zoo").setLevel(logging.INFO)  # which commit a name on the hub means
    logging.basicConfig(format="%(message)s")
    try:
        command.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = None
    except KeyboardInterrupt:
        goes_on = command is finetune or getattr(options, "file", None)
        print("\nInterrupted. The same command goes on from here." if goes_on else "", file=sys.stderr)
        return 130
    except (zoo.errors.ZooError, ValueError, TypeError, OSError) as error:
        print(f"zoo: {error}", file=sys.stderr)
        return 2
    return 0


def parser():
    """The `argparse.ArgumentParser` of all commands."""
    found = argparse.ArgumentParser(prog="zoo", description="Recurrent networks that load in one line.")
    found.add_argument("--version", action="version", version=f"zoo {zoo.__version__}")
    commands = found.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.SUMMARY, description=command.SUMMARY)
        command.arguments(sub.add_argument)
    return found


if __name__ == "__main__":
    sys.exit(main())
