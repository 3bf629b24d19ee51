"""Times in a plan: exact seconds, read from what people write and written as JSON can say them."""

import re
from fractions import Fraction

from fotograma.errors import PlanError

Seconds = Fraction
"""Times in a plan are decimals and kept exact: 0.7 is 7/10."""

# Room for the ratio of any two decimals that are taken.
LONGEST_TIME = 80
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
_UNITS = {"ms": Fraction(1, 1000), "s": Fraction(1), "m": Fraction(60), "min": Fraction(60), "h": Fraction(3600)}


def parse_seconds(text: str) -> Seconds:
    """`2`, `2.5`, `2s`, `500ms`, `1m`, `1h`, `00:01:07.2`, `1:07` or `1001/30000` as exact seconds.

    Raises:
        PlanError: it is none of these.
    """
    text = text.strip()
    if len(text) > LONGEST_TIME:
        raise PlanError(f"`{text[:20]}...` is no time that can be kept; write at most {LONGEST_TIME} characters")
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups()
        return Fraction(int(hours or 0) * 3600 + int(minutes) * 60) + Fraction(seconds)
    if quantity := re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|min|m|h)?", text):
        return Fraction(quantity[1]) * _UNITS[quantity[2] or "s"]
    if re.fullmatch(r"\d+/[1-9]\d*", text):
        return Fraction(text)
    raise PlanError(f"`{text[:40]}` is no time; write 2, 2.5s, 500ms, 1m or 00:01:07.2")


def plain_seconds(value: Seconds) -> int | float | str:
    """A JSON number where one says exactly this, else a text such as `1/3`."""
    if value.denominator == 1:
        return value.numerator
    number = float(value)
    return number if Fraction(str(number)) == value else str(value)
