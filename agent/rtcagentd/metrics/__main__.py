"""Prints the table of docs/metrics.md: `python -m rtcagentd.metrics`."""

from rtcagentd.metrics.table import as_markdown

if __name__ == "__main__":
    print(as_markdown(), end="")
