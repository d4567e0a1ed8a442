"""When each picture of a clip was published: a viewer beside the server that writes down what it gets, by HTTP-FLV.

`python3 -m rushlight_bench.sent URL CLIP` prints a line `PICTURE SECONDS` for each picture: its number in the clip, and the
time of day."""

import sys
import time
import urllib.request

from . import clip


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
