#!/usr/bin/env python3
"""year.py DRIVER DIRECTORY DEATHS [SEED [DAYS [AGENTS]]]: a year of schedd's real code, by a model.

Writes the plan of the agents, lets year_driver live through it with its ledger in DIRECTORY, and
compares what ran with what agent-manifest(5) says should have: the next fires of cron.py's model,
each event for each agent that waits for it, and for times that no schedd saw pass what `missed` says.
Prints one line of counts; exit status 1 at the first mismatches.
"""
import bisect
import collections
import itertools
import random
import subprocess
import sys

import cron

BEGIN = 1798761600000  # 2027-01-01 00:00 UTC, as the driver
DAY = 86400000
GRACE = 1000  # what a restart may take before a time counts as missed
CRON, EVERY, AT = 1, 2, 3
KINDS = {CRON: "cron", EVERY: "every", AT: "at"}
SKIP, ONCE, ALL = 1, 2, 3
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
         "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Auckland"]
TYPES = ["build.done", "build.failed", "review.asked"]

Trigger = collections.namedtuple("Trigger", "kind missed jitter every at zone cron")


# --- the agents ------------------------------------------------------------------------------------


def schedule(rng):
    """An expression, as agents have them: most daily or rarer, at hours that clocks jump over too."""
    minute, hour = rng.randrange(60), rng.choice([0, 1, 2, 2, 3] + list(range(24)))
    return rng.choices(
        ["%d %d * * *" % (minute, hour), "%d %d * * mon-fri" % (minute, hour),
         "%d %d * * %d" % (minute, hour, rng.randrange(7)), "%d %d %d * *" % (minute, hour, rng.randint(1, 31)),
         "%d %d L * ?" % (minute, hour), "%d %d ? * %d#%d" % (minute, hour, rng.randrange(7), rng.randint(1, 5)),
         "%d %d 15W * ?" % (minute, hour), "%d */6 * * *" % minute, "%d * * * *" % minute,
         "%d %d %d %d *" % (minute, hour, rng.randint(1, 28), rng.randint(1, 12)), "@monthly", "@daily"],
        [10, 4, 30, 25, 5, 5, 3, 1, 0.3, 5, 2, 1])[0]


def agents(rng, count):
    """Name: its triggers of time, at most one of each kind, and the type of events it waits for."""
    found = {}
    cycle = [schedule(rng) for _ in range(120)]
    for i in range(count):
        missed = rng.choice([ALL] * 6 + [SKIP, ONCE])
        # What a trigger's delay is only schedd knows: it must not decide what is missed.
        jitter = rng.randint(1, 900000) if missed == ALL and rng.random() < 0.3 else 0
        triggers = []
        if rng.random() < 0.9:
            triggers.append(Trigger(CRON, missed, jitter, -1, -1, rng.choice(ZONES), rng.choice(cycle)))
        if not triggers or rng.random() < 0.05:
            period = rng.choice([12, 24, 36, 100, 168]) * 3600000 + rng.choice([0, 1, 777000])
            triggers.append(Trigger(EVERY, missed, jitter, period, -1, "-", "-"))
        if rng.random() < 0.1:
            at = BEGIN + rng.randrange(364 * DAY)
            triggers.append(Trigger(AT, missed, jitter, -1, at, "-", "-"))
        found["agent-%d" % i] = triggers, rng.choice(TYPES) if i % 20 == 0 else None
    return found


def plan(found):
    lines = ["types\t" + "\t".join(TYPES)]
    for name, (triggers, event) in found.items():
        lines.append("agent\t%s\t%d" % (name, len(triggers)))
        lines += ["time\t" + "\t".join(map(str, trigger)) for trigger in triggers]
        if event:
            lines.append("event\t" + event)
    return "\n".join(lines) + "\n"


# --- what should be --------------------------------------------------------------------------------


class Model:
    def __init__(self):
        cron.FIRST_YEAR, cron.LAST_YEAR = 2026, 2029
        self.zones = {name: cron.Zone(name) for name in ZONES}
        self.known = {}

    def times(self, trigger, until):
        """Every scheduled time after the beginning, until then."""
        if trigger.kind == AT:
            return [trigger.at] if BEGIN < trigger.at <= until else []
        if trigger.kind == EVERY:
            first = (BEGIN // trigger.every + 1) * trigger.every
            return list(range(first, until + 1, trigger.every))
        key = trigger.zone, trigger.cron
        if key not in self.known:
            expression, zone = cron.Expression(trigger.cron), self.zones[trigger.zone]
            found, at = [], BEGIN // 1000
            while (at := cron.next_fire(expression, zone, at)) is not None and at * 1000 <= until:
                found.append(at * 1000)
            self.known[key] = found
        return self.known[key]


class Absences:
    """Times that no schedd saw pass: spans of the wall clock, merged where it settled not once
    between them; only what the clock reached for the first time counts."""

    def __init__(self):
        self.spans = []  # [from, to, how often it began, times about which either is right]
        self.reached, self.open = BEGIN, False

    def away(self, start, end):
        start, end = max(start, self.reached), max(end, self.reached)
        if not self.open:
            self.spans.append([start, end, 0, []])
        self.spans[-1][1] = end
        self.spans[-1][2] += 1
        # Due at the very moment of a death, or within the grace of a start that died too.
        self.spans[-1][3] += [(start, start), (end - GRACE, end)]
        self.reached, self.open = end, True

    def seen(self, now):
        self.reached = max(self.reached, now)

    def settled(self, now):
        if self.open and self.spans[-1][3]:
            self.spans[-1][3].pop()  # the last start's grace: these fire
        self.open = False
        self.seen(now)

    def of(self, time, starts):
        """The span in which it was missed, and whether that is sure."""
        at = bisect.bisect_right(starts, time) - 1
        if at < 0 or time > self.spans[at][1]:
            return None, True
        start, end, _, either = self.spans[at]
        sure = not any(a <= time <= b for a, b in either)
        if time > end - GRACE:
            return (None, True) if sure else (at, False)
        return at, sure and time > start


class Comparison:
    def __init__(self, lines):
        self.runs = collections.defaultdict(list)
        self.absences, self.stored = Absences(), {}
        self.mismatches, self.compared, self.missed = [], 0, 0
        self.end = self.deaths = self.calls = self.troubles = None
        for line in lines:
            word, *rest = line.split("\t")
            if word == "run":
                self.runs[rest[0], rest[1]].append((int(rest[2]), int(rest[3]), rest[4]))
            elif word == "stored":
                self.stored[rest[0]] = rest[1]
            elif word == "away":
                self.absences.away(int(rest[0]), int(rest[1]))
            elif word == "back":
                self.absences.seen(int(rest[0]))
            elif word == "settled":
                self.absences.settled(int(rest[0]))
            elif word == "end":
                self.end, self.deaths, self.calls, self.troubles = map(int, rest)
        self.starts = [span[0] for span in self.absences.spans]

    def mismatch(self, *what):
        self.mismatches.append(" ".join(map(str, what)))

    def trigger(self, name, trigger, times):
        ran = sorted(run[0] for run in self.runs.pop((name, KINDS[trigger.kind]), []))
        self.compared += len(times)
        for a, b in itertools.pairwise(ran):
            if a == b:
                self.mismatch(name, trigger, a, "ran twice")
        surplus = set(ran) - set(times)
        if surplus:
            self.mismatch(name, trigger, min(surplus), "ran and is no time of it")
        if trigger.missed == ALL:
            due = {t for t in times if t + trigger.jitter <= self.end}
            if due - set(ran):
                self.mismatch(name, trigger, min(due - set(ran)), "was lost")
            return
        self.with_missed(name, trigger, times, set(ran))

    def with_missed(self, name, trigger, times, ran):
        spans = collections.defaultdict(list)
        for time in times:
            at, sure = self.absences.of(time, self.starts)
            if at is None and time not in ran and time <= self.end:
                self.mismatch(name, trigger, time, "was lost")
            elif at is not None and sure:
                spans[at].append(time)
        for at, inside in spans.items():
            made_up = ran.intersection(inside)
            self.missed += len(inside)
            start, end, begun, either = self.absences.spans[at]
            if trigger.missed == SKIP and made_up:
                self.mismatch(name, trigger, min(made_up), "ran though it was missed in", start, end)
            near = [t for t in ran if any(a <= t <= b for a, b in either)]
            if trigger.missed == ONCE and not (1 <= len(made_up) + len(near) and len(made_up) <= begun):
                self.mismatch(name, trigger, inside, "were missed in", start, end, "and", made_up, "ran")

    def events(self, found):
        """Each that was stored ran each agent that waits for it, once."""
        waiting = collections.defaultdict(list)
        for name, (_, event) in found.items():
            waiting[event].append(name)
        for event, kind in self.stored.items():
            for name in waiting[kind]:
                self.compared += 1
                count = sum(run[2] == event for run in self.runs[name, "event"])
                if count != 1:
                    self.mismatch(name, "ran", count, "times for event", event)
        total = sum(len(waiting[kind]) for kind in self.stored.values())
        ran = sum(len(runs) for key, runs in self.runs.items() if key[1] == "event")
        if ran != total:
            self.mismatch(ran, "sessions ran for events,", total, "should have")


def main():
    driver, directory, deaths = sys.argv[1:4]
    seed, days, count = (int(v) for v in (sys.argv[4:] + ["1", "365", "1000"][len(sys.argv) - 4:]))
    found = agents(random.Random(seed), count)
    run = subprocess.run([driver, directory, str(seed), str(days), deaths], input=plan(found),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = run.stdout.splitlines()
    if run.returncode or not lines or not lines[-1].startswith("end\t"):
        print("the driver ended with status %d: %s" % (run.returncode, "\n".join(run.stderr.splitlines()[-5:])))
        sys.exit(1)
    model, comparison = Model(), Comparison(lines)
    for name, (triggers, _) in found.items():
        for trigger in triggers:
            comparison.trigger(name, trigger, model.times(trigger, comparison.end))
    comparison.events(found)
    for mismatch in comparison.mismatches[:20]:
        print("mismatch:", mismatch)
    print("%d agents, %d days, seed %d: %d fires, %d deaths at %d calls, %d clock steps, %d times missed, "
          "%d troubles of the disk, of which it said %d lines, %d mismatches" % (count, days, seed, comparison.compared, comparison.deaths, comparison.calls,
                             sum("\tset" in l or l.startswith("back") or "\tsleep" in l for l in lines),
                             comparison.missed, comparison.troubles, len(run.stderr.splitlines()),
                             len(comparison.mismatches)))
    sys.exit(len(comparison.mismatches) > 0)


if __name__ == "__main__":
    main()
