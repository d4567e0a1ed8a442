"""An emulated link between two network namespaces, and the pages that browsers behind it open."""

import contextlib
import json
import os
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


class Hub:
    """A namespace with servers, to which clients have one emulated link each."""

    HOST = "10.79.0.1"

    def __init__(self) -> None:
        # The link emulator removes names of this form whose process is gone.
        self.name = f"rushlight-{os.getpid()}-hub"
        self.server = ["nsenter", f"--net=/run/netns/{self.name}", "--"]

    def __enter__(self) -> "Hub":
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "address", "add", self.HOST, "dev", "lo")
        # No connection knows what the one before it has learnt.
        subprocess.run([*self.server, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1"], check=True)
        return self

    def __exit__(self, *_) -> None:
        _ip("netns", "delete", self.name)


class Spoke:
    """One link of a hub, whose rate to the client follows a trace, and the client's end."""

    def __init__(self, hub: Hub, number: int, trace: str, rtt_ms: float, up_mbit: float, queue_ms: float) -> None:
        self.hub = hub
        with tempfile.NamedTemporaryFile("w", suffix=".trace") as file:
            file.write(trace)
            file.flush()
            command = [cache.link_emulator(), "--rtt-ms", str(rtt_ms), "--trace", file.name]
            command += ["--up-mbit", str(up_mbit), "--queue-ms", str(queue_ms), "--seed", str(number)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            names = self.process.stdout.readline()
        if not names:
            raise cache.Skipped("the link emulator did not start (its reason stands above)")
        names = json.loads(names)
        self.client = ["nsenter", f"--net=/run/netns/{names['client']}", "--"]
        self._route(number, names["server"], names["client"])

    def _route(self, number: int, middle: str, client: str) -> None:
        """client == emulated link == middle == hub: every client has an address of its own, so nothing is translated."""
        address, gate = f"10.78.0.{number + 2}", f"10.79.1.{number + 2}"
        port, tunnels = f"spoke{number}", [_device(name) for name in (middle, client)]
        _ip("-n", middle, "link", "add", "hub", "type", "veth", "peer", "name", port, "netns", self.hub.name)
        _ip("-n", middle, "address", "add", gate, "dev", "hub")
        _ip("-n", middle, "link", "set", "hub", "up")
        _ip("-n", self.hub.name, "link", "set", port, "up")
        _ip("-n", middle, "route", "add", self.hub.HOST, "dev", "hub")
        _ip("-n", middle, "route", "add", address, "dev", tunnels[0])
        _ip("-n", self.hub.name, "route", "add", gate, "dev", port)
        _ip("-n", self.hub.name, "route", "add", address, "via", gate, "dev", port, "onlink")
        _ip("-n", client, "address", "add", address, "dev", tunnels[1])
        _ip("-n", client, "route", "add", self.hub.HOST, "dev", tunnels[1], "src", address)
        forward = ["nsenter", f"--net=/run/netns/{middle}", "--", "sysctl", "-qw", "net.ipv4.ip_forward=1"]
        subprocess.run(forward, check=True)

    def __enter__(self) -> "Spoke":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _device(namespace: str) -> str:
    """The end of the emulated link that lies in it."""
    listed = subprocess.run(["ip", "-n", namespace, "-j", "link"], check=True, capture_output=True, text=True).stdout
    return next(link["ifname"] for link in json.loads(listed) if link["link_type"] == "none")


@contextlib.contextmanager
def pages(link: Link | Hub, files: list[Path]):
    """A web server at the server's end that has these files. Yields its address."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            shutil.copy(file, folder)
        server = subprocess.Popen(
            [*link.server, "python3", "-m", "http.server", "-d", folder, str(PAGE_PORT)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        host = link.HOST if isinstance(link, Hub) else SERVER_HOST
        try:
            yield f"http://{host}:{PAGE_PORT}"
        finally:
            server.terminate()
            server.wait()


def drive(link: Link | Spoke, script: str, job: dict) -> subprocess.Popen:
    """Starts a script of bench/browser at the client's end, with Chromium to drive; it prints lines of JSON."""
    job = {"playwright": str(cache.npm("playwright-core")), "chromium": cache.program("chromium", "chromium"), **job}
    command = [*link.client, cache.program("node", "nodejs"), str(BROWSER / script)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process
