"""Where peers, clips and browser tools are kept between runs: outside the source tree."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "bench" / "out"
DIRECTORY = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rushlight-bench"

NPM_PACKAGES = {"hls.js": "1.7.4", "node-media-server": "4.4.3", "mpegts.js": "1.8.2", "playwright-core": "1.65.1"}
XIU_VERSION = "0.14.0"


class Skipped(Exception):
    """Something is not available on this machine; the text says what and how to get it."""


def program(name: str, package: str) -> str:
    """Full path of an installed program."""
    path = shutil.which(name)
    if path is None:
        raise Skipped(f"{name} is not installed (Debian: apt-get install {package})")
    return path


def npm(name: str) -> Path:
    """Folder of an npm package, installed into the cache when it is not there yet."""
    folder = DIRECTORY / "npm" / "node_modules" / name
    if not folder.exists():
        directory = DIRECTORY / "npm"
        directory.mkdir(parents=True, exist_ok=True)
        command = [program("npm", "npm"), "install", "--no-audit", "--no-fund", f"{name}@{NPM_PACKAGES[name]}"]
        print(f"installing {name} from npm into {directory}", flush=True)
        if subprocess.run(["nice", "-n", "19", *command], cwd=directory).returncode != 0:
            raise Skipped(f"npm could not install {name}")
    return folder


def parts_abr() -> str:
    """How the player of our pages has hls.js choose between rungs (web/player/parts.ts), as a module of JavaScript."""
    esbuild = ROOT / "web" / "node_modules" / ".bin" / "esbuild"
    if not esbuild.exists():
        raise Skipped("web/node_modules is not there (npm ci --prefix web)")
    command = [str(esbuild), str(ROOT / "web" / "player" / "parts.ts"), "--bundle", "--format=esm", "--external:hls.js"]
    return subprocess.run([*command, "--log-level=warning"], check=True, capture_output=True, text=True).stdout


def xiu() -> str:
    """The xiu server, built once from the crate registry (ten minutes of two idle cores)."""
    binary = DIRECTORY / "xiu" / "bin" / "xiu"
    if not binary.exists():
        command = [program("cargo", "cargo"), "install", "xiu", "--version", XIU_VERSION, "--locked"]
        command += ["--root", str(binary.parents[1])]
        print("building xiu, which takes many minutes", flush=True)
        environment = {**os.environ, "CARGO_TARGET_DIR": str(DIRECTORY / "xiu-target")}
        if subprocess.run(["nice", "-n", "19", *command], env=environment).returncode != 0:
            raise Skipped("cargo could not install xiu")
        shutil.rmtree(DIRECTORY / "xiu-target", ignore_errors=True)
    return str(binary)


def cargo_binary(package: str, name: str, *options: str) -> str:
    """One of our own programs, built in release mode. RUSHLIGHT_BENCH_BIN names a folder with ready ones."""
    ready = os.environ.get("RUSHLIGHT_BENCH_BIN")
    if ready:
        path = Path(ready) / name
        if not path.exists():
            raise Skipped(f"{path} does not exist")
        return str(path)
    command = [program("cargo", "cargo"), "build", "--release", "-p", package, "--bin", name, *options]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise Skipped(f"cargo could not build {name}")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "release" / name)


def rushlight() -> str:
    return cargo_binary("rushlight", "rushlight")


def link_emulator() -> str:
    return cargo_binary("rushlight-testkit", "link-emulator", "--features", "cli")
