"""Random tables: every type, its edges, NULLs; sorted enough that statistics leave row groups out.

A table is a list of loads; each load makes a row group in each partition that it names, with more rows than
STATISTICS_ROWS_MIN where it is to be skipped by statistics.
"""
import csv
from datetime import date, datetime, timedelta
from decimal import Decimal

NULL_MARK = "\\N"
GROUP_ROWS = 1030  # above STATISTICS_ROWS_MIN (proto/limits.h)
BIG = 2**63 - 1
WORDS = ["", "a", "b", "ab", "abc", "b%", "b_", "\\", "'", "\"", "A", "Z", "zz", "ä", "雪", "🙂", "x" * 40, "10", "-3"]
PREFIX = "a common beginning that is longer than statistics keep: "


def cell(rng, name, base):
    """One value; `base` moves with the load, so that loads differ in their least and greatest values."""
    if name == "k":
        return base % 40 + rng.randint(-5, 5)
    if name == "b":
        return rng.choice((base * 10**15 + rng.randint(0, 999), rng.choice((BIG, -BIG, 0, BIG - 1, 2**53 + 1))
                           if rng.random() < 0.1 else base * 10**15))
    if name == "x":
        special = (float("nan"), float("inf"), float("-inf"), -0.0, 0.0)
        return rng.choice(special) if rng.random() < 0.05 else (base + rng.randint(0, 99)) / 7
    if name == "y":
        return (base * 4 + rng.randint(-40, 40)) / 8
    if name == "m":
        return Decimal(base * 100 + rng.randint(-99, 99)) / 100
    if name == "w":
        return Decimal(base * 10**24 + rng.randint(-10**6, 10**6)) / 10**8
    if name == "s":
        return rng.choice(WORDS) if rng.random() < 0.5 else f"{base:03d}{rng.choice('abc')}"
    if name == "u":
        return PREFIX + rng.choice("ab雪🙂") + str(base) if rng.random() < 0.5 else chr(0x3040 + base % 80) + rng.choice("xyz")
    if name == "f":
        return rng.random() < 0.5
    if name == "d":
        return (date(2024, 1, 1) + timedelta(days=base + rng.randint(0, 20))).isoformat()
    moment = datetime(2024, 1, 1) + timedelta(days=base, milliseconds=rng.randint(0, 10**7))
    return moment.isoformat(" ", "milliseconds")


def table(rng, names, loads, rows, partitions):
    """A list of loads, each a list of rows (lists by names). Partition columns are the last two."""
    made, number = [], 0
    for load in range(loads):
        base = load * 13
        empty = {name for name in names[1:-2] if rng.random() < 0.08}  # NULL throughout
        full = {name for name in names[1:-2] if rng.random() < 0.4}  # never NULL
        part = []
        for _ in range(rows):
            row = [number]
            for name in names[1:-2]:
                null = name in empty or (name not in full and rng.random() < 0.1)
                row.append(None if null else cell(rng, name, base))
            row += rng.choice(partitions[load % len(partitions)])
            number += 1
            part.append(row)
        made.append(part)
    return made


def write(path, names, types, rows):
    """CSV for both sides; NULL has a mark, so that an empty text is one."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for row in rows:
            writer.writerow([NULL_MARK if value is None else text_of(value) for value in row])


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), repr(value))
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
