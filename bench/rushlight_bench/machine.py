"""What the machine is and does: cores, load, and the CPU time and memory of a process with its children."""

import os
import platform
import subprocess
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the program's name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (OSError, IndexError):
                continue  # it ended meanwhile
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def cpu_seconds(pid: int) -> float:
    total = 0
    for member in family(pid):
        try:
            fields = _stat(member)
            total += int(fields[11]) + int(fields[12])
        except (OSError, IndexError):
            continue
    return total / TICK


def memory_bytes(pid: int) -> int:
    """Resident memory, shared pages counted once per process."""
    total = 0
    for member in family(pid):
        try:
            total += int(_stat(member)[21]) * PAGE
        except (OSError, IndexError):
            continue
    return total


def load_average() -> float:
    return os.getloadavg()[0]


def put_first(pid: int) -> None:
    """Lets the process and all that descend from it go before everything else on the machine, as far as the kernel allows."""
    for member in family(pid):
        try:
            # Sessions are weighed against each other before their processes are.
            Path(f"/proc/{member}/autogroup").write_text("-20")
        except OSError:
            continue  # it ended meanwhile, or there are no such groups


def processor_times() -> tuple[int, int]:
    """What all cores together have been idle and in all, in ticks."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def busy_share(before: tuple[int, int], now: tuple[int, int]) -> float:
    """The share of the processor that was busy between two of those."""
    return 1 - (now[0] - before[0]) / max(1, now[1] - before[1])


def cpu_pressure() -> float | None:
    """The share of the last ten seconds in which some task waited for a core, in percent; `None` where the kernel does not tell."""
    try:
        fields = Path("/proc/pressure/cpu").read_text().split()
        return float(fields[1].removeprefix("avg10="))
    except (OSError, IndexError, ValueError):
        return None


def describe() -> dict:
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent
    ).stdout.strip()
    control = Path("/proc/sys/net/ipv4/tcp_congestion_control")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_before": load_average(),
        "tcp_congestion_control": control.read_text().strip() if control.exists() else "?",
        "commit": commit,
        "time": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
    }
