#!/usr/bin/env python3
"""systemd.py DRIVER EXPRESSIONS [SEED]: compares schedd's next fires with systemd-analyze calendar
on what both can express: no day of the month beside a day of the week, no W and #, and hours at
which no clock is changed (systemd follows another rule then)."""
import os
import random
import re
import subprocess
import sys
import datetime

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata", "Asia/Tokyo"]
DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
FIRES = 5


def field(rng, low, high, star=True):
    """The same numbers in both languages."""
    kind = rng.randrange(6)
    # systemd refuses a range or a step that names one number only.
    a, b = sorted(rng.sample(range(low, high + 1), 2))
    step = rng.randint(1, min(9, b - a))
    if kind == 0 and star:
        return "*", "*"
    if kind == 1 and star:
        return "*/%d" % step, "%d/%d" % (low, step)
    if kind == 2 and star:
        return "%d/%d" % (a, step), "%d/%d" % (a, step)
    if kind == 3:
        return "%d-%d" % (a, b), "%d..%d" % (a, b)
    if kind == 4:
        return "%d-%d/%d" % (a, b, step), "%d..%d/%d" % (a, b, step)
    return "%d,%d" % (b, a), "%d,%d" % (a, b)


def case(rng):
    second = field(rng, 0, 59) if rng.random() < 0.2 else None
    minute, hour = field(rng, 0, 59), field(rng, 4, 22, star=False)
    month = ("*", "*") if rng.random() < 0.6 else field(rng, 1, 12)
    day, weekday = ("*", "-*"), ("*", "")
    kind = rng.random()
    if kind < 0.35:
        day = field(rng, 1, 28)
        day = day[0], "-" + day[1]
    elif kind < 0.45:
        day = "L", "~01"
    elif kind < 0.8:
        days = sorted(rng.sample(range(7), rng.randint(1, 4)))
        weekday = ",".join(map(str, days)), ",".join(DAYS[d] for d in days) + " "
    zone = rng.choice(ZONES)
    ours = " ".join(([second[0]] if second else []) + [minute[0], hour[0], day[0], month[0], weekday[0]])
    theirs = "%s*-%s%s %s:%s:%s %s" % (weekday[1], month[1], day[1], hour[1], minute[1],
                                       second[1] if second else "00", zone)
    return ours, theirs, zone


def systemd_fires(spec, after):
    said = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=%d" % FIRES, "--base-time=@%d" % after, spec],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "TZ": "UTC"})
    if said.returncode:
        raise RuntimeError("systemd-analyze calendar %r: %s" % (spec, said.stdout.strip()))
    found = re.findall(r"(?:Next elapse|Iter(?:\.|ation) #\d+): ... (\S+ \S+) UTC", said.stdout)
    return [int(datetime.datetime.fromisoformat(t + "+00:00").timestamp()) for t in found]


def main():
    driver, count = sys.argv[1], int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 6)
    cases = [case(rng) + (rng.randint(946684800, 2114380800),) for _ in range(count)]
    lines = "".join("%s\t%d\t%d\t%s\n" % (zone, after, FIRES, ours) for ours, _, zone, after in cases)
    answers = subprocess.run([driver], input=lines, stdout=subprocess.PIPE, text=True, check=True)
    mismatches = 0
    for (ours, theirs, zone, after), said in zip(cases, answers.stdout.splitlines()):
        wanted = systemd_fires(theirs, after)
        if [int(t) for t in said.split() if t not in ("never", "refused")] != wanted:
            mismatches += 1
            print("mismatch: %s in %s (%s) after %d: %s instead of %s" % (ours, zone, theirs, after, said, wanted))
    print("%d expressions with %d fires each, %d mismatches" % (count, FIRES, mismatches))
    sys.exit(mismatches > 0)


if __name__ == "__main__":
    main()
