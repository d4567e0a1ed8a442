"""An emulated link between two network namespaces, and the pages that browsers behind it open."""

import contextlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import cache

SERVER_HOST = "10.77.0.1"  # as the link emulator gives it
PAGE_PORT = 26090
BROWSER = Path(__file__).resolve().parents[1] / "browser"


class Link:
    """Two namespaces joined by the link emulator."""

    def __init__(self, rtt_ms: float, rate_mbit: float, loss: float, arguments) -> None:
        command = [cache.link_emulator(), "--rtt-ms", str(rtt_ms), "--rate-mbit", str(rate_mbit)]
        command += ["--loss", str(loss), "--seed", str(arguments.seed)]
        if arguments.congestion:
            command += ["--congestion", arguments.congestion]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        names = self.process.stdout.readline()
        if not names:
            raise cache.Skipped("the link emulator did not start (its reason stands above)")
        names = json.loads(names)
        self.server = ["nsenter", f"--net=/run/netns/{names['server']}", "--"]
        self.client = ["nsenter", f"--net=/run/netns/{names['client']}", "--"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_) -> None:
        self.close()


@contextlib.contextmanager
def pages(link: Link, files: list[Path]):
    """A web server at the server's end that has these files. Yields its address."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            shutil.copy(file, folder)
        server = subprocess.Popen(
            [*link.server, "python3", "-m", "http.server", "-d", folder, str(PAGE_PORT)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"http://{SERVER_HOST}:{PAGE_PORT}"
        finally:
            server.terminate()
            server.wait()


def drive(link: Link, script: str, job: dict) -> subprocess.Popen:
    """Starts a script of bench/browser at the client's end, with Chromium to drive; it prints lines of JSON."""
    job = {"playwright": str(cache.npm("playwright-core")), "chromium": cache.program("chromium", "chromium"), **job}
    command = [*link.client, cache.program("node", "nodejs"), str(BROWSER / script)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process
