"""Training scripts, one for each result."""

import contextlib
import sys

from zoo.errors import ZooError


@contextlib.contextmanager
def messages(interrupted="The same command goes on from here."):
    """Ends a script with a line instead of a traceback, where the user and not the programmer is asked to act."""
    try:
        yield
    except (ZooError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"Interrupted. {interrupted}", file=sys.stderr)
        raise SystemExit(130) from None
