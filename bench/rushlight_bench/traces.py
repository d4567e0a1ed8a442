"""Rates of real access networks over time: which there are, which are taken, and what of them.

Nothing of them is part of the source tree. They come from two public repositories, each cloned once into the cache:

- HSDPA: buses, trams, trains, ferries, cars and the metro of Oslo (Riiser and others, MMSys 2013), and FCC: American homes
  (Measuring Broadband America, 2016), both as prepared for Pensieve, of `confiwent/Real-world-bandwidth-traces` (MIT).
- 4G: buses, trams, trains, cars, bicycles and pedestrians of Ghent (van der Hooft and others, 2016), of `UMass-LIDS/sabre`
  (BSD 2-Clause).
"""

import json
import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import cache

REPOSITORIES = {
    "Real-world-bandwidth-traces": (
        "https://github.com/confiwent/Real-world-bandwidth-traces", "d28c4fd48d0e358db024cc0217b111c070815fa7"
    ),
    "sabre": ("https://github.com/UMass-LIDS/sabre", "09b03bb0f4f90660a2504a6b2fb48d2f06333706"),
}  # fmt: skip
# name: repository, folder, how its files are written, share of the mix
SETS = {
    "HSDPA": ("Real-world-bandwidth-traces", "cooked_3gp", "lines", 0.4),
    "FCC": ("Real-world-bandwidth-traces", "fcc_ori/test_traces", "lines", 0.35),
    "4G": ("sabre", "example/mmsys18/4Glogs", "json", 0.25),
}
# Pensieve's rule (SIGCOMM 2017): mean rates below 6 Mbit/s, where the choice of a rung is none, and none that falls below
# 0.2 Mbit/s, where nothing can be played. All of 4G is above the first one; it is there for its dips, so only the second holds.
MEAN_MBIT_MAX = 6.0
LEAST_MBIT = 0.2
MAY_BE_FAST = {"4G"}


@dataclass
class Trace:
    """`pieces` are seconds and Mbit/s, one behind the other."""

    kind: str
    name: str
    pieces: list[tuple[float, float]]

    @property
    def seconds(self) -> float:
        return sum(seconds for seconds, _ in self.pieces)

    @property
    def mean_mbit(self) -> float:
        return sum(seconds * rate for seconds, rate in self.pieces) / self.seconds

    @property
    def least_mbit(self) -> float:
        return min(rate for _, rate in self.pieces)

    def below(self, mbit: float) -> float:
        """The share of its time in which it carries less."""
        return sum(seconds for seconds, rate in self.pieces if rate < mbit) / self.seconds

    def cut(self, start: float, length: float) -> "Trace":
        pieces, at = [], 0.0
        for seconds, rate in self.pieces:
            taken = min(at + seconds, start + length) - max(at, start)
            if taken > 0.001:
                pieces.append((taken, rate))
            at += seconds
        return Trace(self.kind, self.name, pieces)

    def lines(self) -> str:
        """As the link emulator reads it."""
        at, lines = 0.0, []
        for seconds, rate in self.pieces:
            lines.append(f"{at:.3f} {rate:.6f}\n")
            at += seconds
        return "".join(lines)


def _repository(name: str) -> Path:
    """A clone of it. RUSHLIGHT_BENCH_TRACES names a folder with ready ones."""
    folder = Path(os.environ.get("RUSHLIGHT_BENCH_TRACES", cache.DIRECTORY / "traces")) / name
    if not folder.exists():
        url, commit = REPOSITORIES[name]
        git = cache.program("git", "git")
        print(f"cloning {url} into {folder}", flush=True)
        for command in (["clone", "-q", "--no-checkout", url, str(folder)], ["-C", str(folder), "checkout", "-q", commit]):
            if subprocess.run([git, *command]).returncode != 0:
                raise cache.Skipped(f"{url} could not be cloned")
    return folder


def _read(file: Path, how: str) -> list[tuple[float, float]]:
    if how == "json":
        return [(line["duration_ms"] / 1000, line["bandwidth_kbps"] / 1000) for line in json.loads(file.read_text())]
    points = [tuple(map(float, line.split())) for line in file.read_text().splitlines() if line.strip()]
    # A line has the rate of the time before it.
    return [(at - before, rate) for (before, _), (at, rate) in zip(points, points[1:]) if at > before]


def _candidates(kind: str, length: float, chance: random.Random) -> list[Trace]:
    """One stretch of each file that is long enough, from a random place on; those that the rule admits."""
    repository, folder, how, _ = SETS[kind]
    found = []
    for file in sorted((_repository(repository) / folder).iterdir()):
        whole = Trace(kind, file.stem if how == "json" else file.name, _read(file, how))
        start = chance.uniform(0, max(0.0, whole.seconds - length))
        if whole.seconds < length:
            continue
        trace = whole.cut(start, length)
        if trace.least_mbit > LEAST_MBIT and (kind in MAY_BE_FAST or trace.mean_mbit < MEAN_MBIT_MAX):
            found.append(trace)
    return found


def choose(count: int, length: float, seed: int) -> list[Trace]:
    """So many traces of all sets, mixed."""
    chance = random.Random(seed)
    chosen = []
    for kind, (*_, share) in SETS.items():
        candidates = _candidates(kind, length, chance)
        chosen += chance.sample(candidates, min(len(candidates), max(1, round(count * share))))
    chance.shuffle(chosen)
    return chosen[:count]
