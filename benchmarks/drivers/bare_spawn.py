"""Runs a command so many times, two at a time, with posix_spawn and wait, and nothing else.

No log, no exit code kept, no process group: what the system itself takes. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time


def run(words: list[str], count: int, places: int) -> float:
    """Run the command so many times; answers the seconds that it took."""
    program = shutil.which(words[0]) or words[0]
    begun = ended = 0
    start = time.perf_counter()
    while ended < count:
        while begun < count and begun - ended < places:
            os.posix_spawn(program, words, os.environ)
            begun += 1
        _, status = os.wait()
        if status:
            raise SystemExit(f"{words} ended with status {status}")
        ended += 1
    return time.perf_counter() - start


def main() -> None:
    """Read the options, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--places", type=int, required=True)
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    print(json.dumps({"seconds": run(options.words, options.count, options.places)}))


if __name__ == "__main__":
    main()
