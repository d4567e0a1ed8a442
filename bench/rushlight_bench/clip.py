"""Clips made by FFmpeg: constant GOP, no B-frames, AAC sound, kept in the cache."""

import subprocess

from . import cache

# name: (width, height, frames per second, GOP frames, video bit/s, seconds)
CLIPS = {
    "480p": (854, 480, 30, 60, 800_000, 60),
    "2mbit": (1280, 720, 30, 60, 1_900_000, 30),
    "200kbit": (426, 240, 15, 30, 150_000, 30),
    # With the number of each picture in it.
    "counted": (854, 480, 30, 60, 2_200_000, 60),
    "1080p": (1920, 1080, 30, 60, 6_000_000, 30),
    # With numbers too; what smaller versions of it are made from.
    "720p": (1280, 720, 25, 50, 2_300_000, 60),
}
NUMBERED = {"counted", "720p"}
AUDIO_BITS = {"480p": 96_000, "2mbit": 96_000, "200kbit": 48_000, "counted": 96_000, "1080p": 96_000, "720p": 48_000}

# The number of a picture: squares in its upper left corner, white for 1, the lowest bit first.
NUMBER_BITS = 11
SQUARE = 32


def path(name: str) -> str:
    """The clip's file, made if it does not exist. A zoom into a fractal is hard to compress, so keyframes are
    as large as those of real pictures."""
    width, height, rate, gop, bits, seconds = CLIPS[name]
    file = cache.DIRECTORY / "clips" / f"{name}-{bits}.flv"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.flv")
        command = [cache.program("ffmpeg", "ffmpeg"), "-v", "error", "-y"]
        command += ["-f", "lavfi", "-i", f"mandelbrot=size={width}x{height}:rate={rate}"]
        command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]
        if name in NUMBERED:
            command += ["-vf", _squares()]
        command += ["-t", str(seconds), "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0"]
        command += ["-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"]
        command += ["-b:v", str(bits), "-maxrate", str(bits), "-bufsize", str(bits)]
        command += ["-c:a", "aac", "-ac", "2", "-b:a", str(AUDIO_BITS[name]), str(part)]
        subprocess.run(command, check=True)
        part.rename(file)
    return str(file)


def _squares() -> str:
    """The filter that draws the number of each picture."""
    boxes = [f"drawbox=x=0:y=0:w={NUMBER_BITS * SQUARE}:h={SQUARE}:color=black:t=fill"]
    for bit in range(NUMBER_BITS):
        is_set = f"enable='gt(bitand(n,{1 << bit}),0)'"
        boxes.append(f"drawbox=x={bit * SQUARE}:y=0:w={SQUARE}:h={SQUARE}:color=white:t=fill:{is_set}")
    return ",".join(boxes)


def pictures(name: str) -> list[bytes]:
    """The coded pictures of the clip in their order, as FLV tag bodies."""
    data = open(path(name), "rb").read()
    found, at = [], 13
    while at + 11 <= len(data):
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        body = data[at + 11 : at + 11 + size]
        # AVC, and not its configuration.
        if kind == 9 and body[0] & 0x0F == 7 and body[1] == 1:
            found.append(body)
        at += 11 + size + 4
    return found


def keyframe_bytes(name: str) -> list[int]:
    """Sizes of the clip's keyframes, ascending: what a viewer must receive before a picture can be shown."""
    return sorted(len(body) for body in pictures(name) if body[0] == 0x17)


def seconds(name: str) -> float:
    return CLIPS[name][5]


def gop_seconds(name: str) -> float:
    _, _, rate, gop, _, _ = CLIPS[name]
    return gop / rate


def publish_command(name: str, urls: list[str]) -> list[str]:
    """Sends the clip in real time, over and over, to every URL. All servers get the same bytes."""
    command = [cache.program("ffmpeg", "ffmpeg"), "-v", "error", "-re", "-stream_loop", "-1", "-i", path(name)]
    for url in urls:
        command += ["-c", "copy", "-f", "flv", url]
    return command
