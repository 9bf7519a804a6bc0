"""
How long something took, as one of some two hundred buckets, each a tenth longer than the one
before. What is read back is at most 5 % off, from a second to decades (as in DDSketch, Masson,
Rim and Lee 2019); below a second it is zero.
"""

import math

ERROR = 0.05
RATIO = (1 + ERROR) / (1 - ERROR)
LONGEST = 230
"""The last bucket: three hundred years."""


def bucket(seconds: float) -> int:
    if seconds < 1:
        return 0
    return min(1 + math.ceil(math.log(seconds, RATIO)), LONGEST)


def seconds(bucket: int) -> float:
    """In the middle of the bucket, so that both ends are equally far off in relation to it."""
    if bucket == 0:
        return 0.0
    return 2 * RATIO ** (bucket - 1) / (1 + RATIO)
