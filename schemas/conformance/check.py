#!/usr/bin/env python3
"""Lets the reader judge every case of this folder: python3 schemas/conformance/check.py. Ends with 1 when one differs."""

import base64
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

import reader  # noqa: E402


def raw(data):
    if data is None or isinstance(data, str):
        return data if data is None else data.encode()
    return base64.b64decode(data["base64"])


def entry_of(given):
    last = given.get("lastOffset", given["offset"])
    if "blank" in given:
        return reader.Entry(given["offset"], last, given["blank"])
    headers = [(name, raw(data)) for name, data in given["headers"]]
    return reader.record(given["offset"], raw(given["key"]), raw(given["value"]), headers)


def judged(case):
    where = case["topic"], case["partition"]
    declared = [reader.void_in(raw(value), case["incarnation"]) for value in case["voids"]]
    spans = reader.spans_of([each for each in declared if each], *where)
    entries = map(entry_of, case["entries"])
    verdicts = reader.judge(*where, case["partitions"], entries, spans)
    return [short(reader.as_json(*where, verdict)) for verdict in verdicts]


def short(line):
    kept = ("offset", "lastOffset", "verdict", "reason", "payload", "undecodable")
    return {name: line[name] for name in kept if name in line}


def expected(case):
    return [{name: said for name, said in each.items() if name != "note"} for each in case["judgement"]]


def opens(case):
    entry = entry_of(case["entries"][0])
    return reader.opening(entry, case["topic"], case["partition"]) is not None


def main():
    cases = [(file.name, case) for file in sorted(FOLDER.glob("*.json")) for case in json.loads(file.read_text())["cases"]]
    wrong = 0
    for file, case in cases:
        found = judged(case)
        if found != expected(case) or opens(case) != case.get("opens", opens(case)):
            wrong += 1
            print(f"{file}: {case['name']}\n  expected {expected(case)}\n  found    {found}")
    print(f"{len(cases)} cases, {wrong} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
