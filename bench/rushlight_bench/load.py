"""Our load generator, as a measuring instrument."""

import json
import subprocess

from . import cache


def run(*options: str) -> dict:
    """One run; its report."""
    command = [cache.rushlight(), "load", *options, "--json", "-"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise cache.Skipped(f"rushlight load ended with status {result.returncode}")
    return json.loads(result.stdout)
