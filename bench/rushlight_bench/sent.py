"""When each picture of a clip was published: a viewer beside the server that writes down what it gets, by HTTP-FLV.

`python3 -m rushlight_bench.sent URL CLIP` prints a line `PICTURE SECONDS` for each picture: its number in the clip, and the
time of day."""

import bisect
import sys
import time
import urllib.request

from . import clip


class SentTimes:
    """When each picture was published, from the lines that this module prints."""

    def __init__(self, lines: str) -> None:
        self.times: dict[int, list[float]] = {}
        for number, seconds in (line.split() for line in lines.splitlines()):
            self.times.setdefault(int(number), []).append(float(seconds))

    def delay_ms(self, picture: int, shown_s: float) -> float | None:
        """How long ago the picture was published for the last time."""
        times = self.times.get(picture, [])
        at = bisect.bisect_right(times, shown_s)
        return (shown_s - times[at - 1]) * 1000 if at else None


def watch(url: str, name: str) -> None:
    numbers = {body: number for number, body in enumerate(clip.pictures(name))}
    with urllib.request.urlopen(url) as stream:
        stream.read(13)
        while head := stream.read(11):
            size = int.from_bytes(head[1:4], "big")
            body = stream.read(size + 4)[:size]
            number = numbers.get(body)
            if head[0] == 9 and number is not None:
                print(number, time.time(), flush=True)


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2])
