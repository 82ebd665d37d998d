"""What is done to a text before it is encoded."""

import html
import re


def prepared_review(text):
    """A review as Radford et al. 2017 prepare it: without HTML, set off from the one before by a newline.

    >>> prepared_review("Fish &amp; chips.<br /><br />Again! ")
    '\\n Fish & chips.\\nAgain! '
    """
    text = re.sub(r"<br\s*/?>", "\n", html.unescape(text))
    text = re.sub(r"[^\S\n]+", " ", re.sub(r"\s*\n\s*", "\n", text.strip()))
    return f"\n {text} "


PREPARATIONS = {"plain": lambda text: text, "review": prepared_review}


def without_surrogates(text):
    """The text with U+FFFD for every lone surrogate, which UTF-8 cannot write."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def checked(text):
    """The text, if it is one.

    Raises:
        TypeError: it is not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a str. Received: {text!r:.100} of type {type(text).__name__}")
    return text
