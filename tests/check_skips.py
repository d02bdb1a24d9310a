"""Fails when pytest skipped a test that is not listed with its reason: `check_skips.py RESULTS.xml SKIPS.txt`.

A line of SKIPS.txt is "PATTERN  # reason"; the pattern (with * and ?) is for names as "tests.unit.test_x::test_y[z]".
"""

import fnmatch
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def skipped_tests(results: Path) -> tuple[int, dict[str, str]]:
    """The number of tests in pytest's JUnit file, and those that were skipped, with what pytest says about each."""
    cases = list(ElementTree.parse(results).iter("testcase"))
    skipped: dict[str, str] = {}
    for case in cases:
        for mark in case.iter("skipped"):
            name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
            skipped[name] = mark.get("message") or "no reason given"
    return len(cases), skipped


def allowed_patterns(skips: Path) -> list[str]:
    """The patterns of the list. ValueError for a line without a reason."""
    patterns = []
    for number, line in enumerate(skips.read_text().splitlines(), start=1):
        pattern, _, reason = line.partition("#")
        if pattern.strip() and not reason.strip():
            raise ValueError(f"{skips} line {number}: {pattern.strip()} has no reason")
        if pattern.strip():
            patterns.append(pattern.strip().replace("[", "[[]"))
    return patterns


def main(results: Path, skips: Path) -> int:
    """Exit status 0: tests ran, and every skipped one may be."""
    count, skipped = skipped_tests(results)
    patterns = allowed_patterns(skips)
    unlisted = [name for name in skipped if not any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    for name in unlisted:
        print(f"skipped without being listed in {skips}: {name}: {skipped[name]}")
    if count == len(skipped):
        print(f"{results} has no test that ran")
        return 1
    print(f"{count - len(skipped)} tests ran; {len(skipped)} skipped, {len(unlisted)} of them not listed")
    return 1 if unlisted else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
