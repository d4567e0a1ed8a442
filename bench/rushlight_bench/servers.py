"""The servers under test: how each is started, and where it is reached.

Every peer gets the configuration that its own documentation recommends for live relaying, with its keyframe
cache on where it has one.
"""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import cache

APP = "live"


class Server:
    """One server on ports of its own. `prefix` (such as `nsenter --net=FILE --`) decides where it runs, `host` what
    its clients dial."""

    name = ""
    label = ""
    has_flv = True

    def __init__(self, ports: int, host: str = "127.0.0.1", prefix: list[str] | None = None) -> None:
        self.rtmp_port, self.http_port = ports, ports + 1
        self.spare_ports = (ports + 2, ports + 3)
        self.host, self.prefix = host, prefix or []
        self.bind = "127.0.0.1" if host == "127.0.0.1" else "0.0.0.0"
        self.scratch = Path(tempfile.mkdtemp(prefix=f"rushlight-bench-{self.name}-"))
        self.process: subprocess.Popen | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> "Server":
        log = open(self.scratch / "log", "w")
        self.process = subprocess.Popen(
            [*self.prefix, *self.command()], cwd=self.scratch, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        deadline = time.monotonic() + 20
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = (self.scratch / "log").read_text()[-800:]
                self.stop()
                raise cache.Skipped(f"{self.label} did not start: {tail}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        shutil.rmtree(self.scratch, ignore_errors=True)

    def __enter__(self) -> "Server":
        """Runs for as long as the block does."""
        self.start()
        time.sleep(1)  # what a program does once after its start is not counted
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process to account; its children belong to it."""
        return self.process.pid

    def rtmp_url(self, key: str) -> str:
        return f"rtmp://{self.host}:{self.rtmp_port}/{APP}/{key}"

    def flv_url(self, key: str) -> str:
        return f"http://{self.host}:{self.http_port}/{APP}/{key}.flv"

    def publish_url(self, key: str) -> str:
        """Publishers always run beside the server, so that they take nothing from the emulated link."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/{APP}/{key}"

    def _listens(self) -> bool:
        """Looks at the socket table of the server's own namespace: a connection would be counted as a session."""
        wanted = {self.rtmp_port, self.http_port} if self.has_flv else {self.rtmp_port}
        for table in ("tcp", "tcp6"):
            try:
                lines = Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]
            except OSError:
                continue
            for fields in map(str.split, lines):
                if fields[3] == "0A":
                    wanted.discard(int(fields[1].rpartition(":")[2], 16))
        return not wanted


class Rushlight(Server):
    name = "rushlight"

    def __init__(self, ports: int, batch_ms: int = 0, tls: bool = False, settings: list[str] = (), **where) -> None:
        super().__init__(ports, **where)
        self.batch_ms, self.tls = batch_ms, tls
        self.settings = settings  # KEY=VALUE each
        self.label = f"rushlight, batching {batch_ms} ms" if batch_ms else "rushlight"
        self.binary = cache.rushlight()

    def command(self) -> list[str]:
        settings = {
            "rtmp.listen": f"{self.bind}:{self.rtmp_port}",
            "http.listen": f"{self.bind}:{self.http_port}",
            "rtmps.listen": f"{self.bind}:{self.spare_ports[0]}" if self.tls else "[]",
            "https.listen": f"{self.bind}:{self.spare_ports[1]}" if self.tls else "[]",
            "data_dir": str(self.scratch / "data"),
            "hub.batch_ms": self.batch_ms,
        }
        settings = [f"{key}={value}" for key, value in settings.items()] + list(self.settings)
        return [self.binary, "serve"] + [word for setting in settings for word in ("--set", setting)]

    def web_url(self, key: str, extension: str, secure: bool = False) -> str:
        """The stream over HTTP or HTTPS: `flv`, `m3u8` or `cmaf`."""
        scheme, port = ("https", self.spare_ports[1]) if secure else ("http", self.http_port)
        return f"{scheme}://{self.host}:{port}/{APP}/{key}.{extension}"

    def variant_url(self, scheme: str, key: str) -> str:
        """The stream over one variant of RTMP or HTTP-FLV."""
        rtmps_port, https_port = self.spare_ports
        ports = {
            "rtmp": self.rtmp_port, "rtmpe": self.rtmp_port, "rtmps": rtmps_port,
            "rtmpt": self.http_port, "rtmpte": self.http_port, "rtmpts": https_port,
            "http": self.http_port, "https": https_port,
        }  # fmt: skip
        return f"{scheme}://{self.host}:{ports[scheme]}/{APP}/{key}" + (".flv" if scheme.startswith("http") else "")


class Nginx(Server):
    name = "nginx-rtmp"
    label = "nginx-rtmp 1.2.2"
    has_flv = False

    def command(self) -> list[str]:
        binary = cache.program("nginx", "nginx libnginx-mod-rtmp")
        module = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
        if not module.exists():
            raise cache.Skipped("nginx has no RTMP module (Debian: apt-get install libnginx-mod-rtmp)")
        # Without wait_key the first frame a viewer gets is one it cannot decode.
        config = f"""
            load_module {module};
            user root; worker_processes 1; daemon off; pid {self.scratch}/pid; error_log {self.scratch}/error.log error;
            worker_rlimit_nofile 65536;
            events {{ worker_connections 32768; }}
            rtmp {{ server {{
                listen {self.bind}:{self.rtmp_port}; chunk_size 4096;
                application {APP} {{ live on; wait_key on; wait_video on; }}
            }} }}
        """
        (self.scratch / "nginx.conf").write_text(config)
        return [binary, "-c", str(self.scratch / "nginx.conf")]


class NodeMediaServer(Server):
    name = "node-media-server"
    label = "node-media-server 4.4.3"

    def command(self) -> list[str]:
        node = cache.program("node", "nodejs")
        app = cache.npm("node-media-server") / "bin" / "app.js"
        ports = ["--rtmp-port", self.rtmp_port, "--rtmps-port", self.spare_ports[0]]
        ports += ["--http-port", self.http_port, "--https-port", self.spare_ports[1]]
        return [node, str(app), "-b", self.bind, "--no-admin", *map(str, ports)]


class Xiu(Server):
    name = "xiu"
    label = "xiu 0.14.0"

    def command(self) -> list[str]:
        binary = cache.xiu()
        config = f"""
            [rtmp]
            enabled = true
            port = {self.rtmp_port}
            gop_num = 1
            [rtmp.auth]
            pull_enabled = false
            push_enabled = false
            algorithm = "simple"
            [httpflv]
            enabled = true
            port = {self.http_port}
            [httpflv.auth]
            pull_enabled = false
            algorithm = "simple"
            [authsecret]
            key = ""
            password = ""
            [log]
            level = "error"
        """
        (self.scratch / "xiu.toml").write_text(config)
        return [binary, "-c", str(self.scratch / "xiu.toml")]


PEERS = {server.name: server for server in (Nginx, NodeMediaServer, Xiu)}
ALL = {Rushlight.name: Rushlight, **PEERS}


def start_all(names: list[str], first_port: int, **where) -> list[Server]:
    """Starts the named servers, ten ports apart; says loudly which could not be had."""
    running = []
    for index, name in enumerate(names):
        try:
            running.append(ALL[name](first_port + 10 * index, **where).start())
        except cache.Skipped as reason:
            print(f"SKIPPED: {name}: {reason}", flush=True)
    return running


