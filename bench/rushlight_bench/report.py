"""Percentiles, Markdown tables, and the two files that a run leaves in bench/out."""

import json
import time

from . import cache, machine


def percentile(values: list[float], share: float) -> float:
    """Nearest rank: the smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, int(-(-share * len(ordered) // 1)) - 1))]


def summary(values: list[float]) -> dict:
    return {
        "n": len(values),
        "p50": percentile(values, 0.50),
        "p95": percentile(values, 0.95),
        "p99": percentile(values, 0.99),
        "max": max(values),
    }


def table(columns: list[str], rows: list[list]) -> str:
    def cell(value) -> str:
        if isinstance(value, float):
            return f"{value:.{3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 1000 else 0}f}"
        return "-" if value is None else str(value)

    lines = [columns, ["---"] * len(columns), *[[cell(value) for value in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write(name: str, about: dict, sections: list[tuple[str, str]], data: dict) -> None:
    """Prints the report and writes bench/out/NAME-TIME.{md,json}."""
    about["load_after"] = machine.load_average()
    text = f"# {name}\n\n" + "\n".join(f"- {key}: {value}" for key, value in about.items()) + "\n"
    for title, body in sections:
        text += f"\n## {title}\n\n{body}"
    cache.OUT.mkdir(parents=True, exist_ok=True)
    stem = cache.OUT / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    stem.with_suffix(".md").write_text(text)
    stem.with_suffix(".json").write_text(json.dumps({"about": about, **data}, indent=1) + "\n")
    print(text, flush=True)
    print(f"wrote {stem}.md and .json")
