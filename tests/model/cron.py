#!/usr/bin/env python3
"""cron.py DRIVER CASES [SEED]: compares schedd's next fires with a model of its own.

The model is written from agent-manifest(5): fields are sets, a zone is what Python's zoneinfo
says the clocks showed, and a fire is an instant that satisfies the written rule. It shares
nothing with the program but the expressions, the zones' names and the system's tzdata. A part
of its answers is compared with a walk over every single second or minute.
Prints one line of counts; exit status 1 at the first mismatches.
"""
import bisect
import calendar
import datetime
import functools
import itertools
import os
import random
import subprocess
import sys
import zoneinfo

ZONEINFO = os.environ.get("ZONEINFO", "/usr/share/zoneinfo")
zoneinfo.reset_tzpath([ZONEINFO])
EPOCH = datetime.datetime(1970, 1, 1)
EPOCH_DAY = EPOCH.toordinal()
FIRST_YEAR, LAST_YEAR = 1969, 2113
MODEL_END = int((datetime.datetime(2112, 1, 1) - EPOCH).total_seconds())

ZONES = """
UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon Europe/Paris Europe/Athens Europe/Moscow
Europe/Istanbul Europe/Volgograd America/New_York America/Chicago America/Los_Angeles America/St_Johns
America/Halifax America/Sao_Paulo America/Asuncion America/Santiago America/Havana America/Caracas
America/Nuuk America/Scoresbysund America/Argentina/San_Luis America/Guatemala Atlantic/Azores
Africa/Cairo Africa/Casablanca Africa/El_Aaiun Africa/Monrovia Asia/Beirut Asia/Amman Asia/Damascus
Asia/Gaza Asia/Jerusalem Asia/Tehran Asia/Kathmandu Asia/Pyongyang Asia/Seoul Asia/Colombo Asia/Kolkata
Asia/Dhaka Asia/Hong_Kong Asia/Ust-Nera Australia/Sydney Australia/Adelaide Australia/Lord_Howe
Antarctica/Troll Antarctica/Casey Pacific/Auckland Pacific/Chatham Pacific/Apia Pacific/Kiritimati
Pacific/Kwajalein Pacific/Fakaofo Pacific/Easter Pacific/Norfolk
""".split()

# --- zones: what the clocks showed ---------------------------------------------------------------


class Zone:
    """Spans (start, end, offset), found by asking for the offset of instants."""

    STEP = 6 * 3600

    def __init__(self, name):
        self.info = zoneinfo.ZoneInfo(name)
        first = int((datetime.datetime(FIRST_YEAR, 1, 1) - EPOCH).total_seconds())
        last = int((datetime.datetime(LAST_YEAR, 1, 1) - EPOCH).total_seconds())
        self.changes = []  # (instant, offset before, offset after)
        before = self.offset(first)
        for at in range(first, last, self.STEP):
            after = self.offset(at + self.STEP)
            if after != before:
                self._narrow(at, before, at + self.STEP, after)
            before = after
        self.starts = [first] + [c[0] for c in self.changes]
        self.offsets = [self.changes[0][1] if self.changes else before]
        self.offsets += [c[2] for c in self.changes]
        self.ends = self.starts[1:] + [last]

    def offset(self, instant):
        moment = datetime.datetime.fromtimestamp(instant, datetime.timezone.utc)
        return int(moment.astimezone(self.info).utcoffset().total_seconds())

    def _narrow(self, low, low_offset, high, high_offset):
        if low_offset == high_offset:
            return
        if high - low == 1:
            self.changes.append((high, low_offset, high_offset))
            return
        middle = (low + high) // 2
        offset = self.offset(middle)
        self._narrow(low, low_offset, middle, offset)
        self._narrow(middle, offset, high, high_offset)


# --- expressions ---------------------------------------------------------------------------------

MONTHS = {n: i + 1 for i, n in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split())}
DAYS = {n: i for i, n in enumerate("sun mon tue wed thu fri sat".split())}
MACROS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def value(text, names):
    return names[text.lower()] if text.lower() in names else int(text)


def values(field, low, high, names=None):
    """The set of numbers that "*", "a", "a-b", each with "/n", and lists of them name."""
    names = names or {}
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            a, b = low, high
        elif "-" in span:
            a, b = (value(v, names) for v in span.split("-"))
            if names is DAYS and b == 0 and a > 0:
                b = 7
        else:
            a = value(span, names)
            b = max(a, high) if step else a
        found.update(range(a, b + 1, int(step or 1)))
    return found


def nearest(day, length, first):
    """The working day nearest to one of a month of that length, which begins with a weekday
    (Sunday is 0)."""
    for away in (0, -1, 1, -2, 2):
        if 1 <= day + away <= length and (first + day + away - 1) % 7 not in (0, 6):
            return day + away
    raise AssertionError(day)


def days_by_number(field, length, first):
    found = set()
    for part in field.upper().split(","):
        if part == "L":
            found.add(length)
        elif part == "LW":
            found.add(nearest(length, length, first))
        elif part.endswith("W"):
            if int(part[:-1]) <= length:
                found.add(nearest(int(part[:-1]), length, first))
        else:
            found |= values(part, 1, 31)
    return found


def days_by_weekday(field, length, first):
    found = set()
    for part in field.split(","):
        if "#" in part:
            name, nth = part.split("#")
            wanted, low, high = {value(name, DAYS) % 7}, 7 * int(nth) - 6, 7 * int(nth)
        elif part[-1] in "lL":
            wanted, low, high = {value(part[:-1], DAYS) % 7}, length - 6, length
        else:
            wanted, low, high = {v % 7 for v in values(part, 0, 6, DAYS)}, 1, length
        found |= {d for d in range(low, min(high, length) + 1) if (first + d - 1) % 7 in wanted}
    return found


def named_days(day, weekday, length, first):
    """The days of a month of that length that begins with that weekday."""
    by_number, by_weekday = days_by_number(day, length, first), days_by_weekday(weekday, length, first)
    if day.startswith("*") or weekday.startswith("*"):
        found = by_number & by_weekday
    else:
        found = by_number | by_weekday
    return {d for d in found if d <= length}


def sunday_is_0(year, month, day):
    return datetime.date(year, month, day).isoweekday() % 7


def named_in_year(day, weekday, months, leap, first):
    """Days from the first of a year, leap or not, that begins with a weekday."""
    year = next(y for y in range(2000, 2400)
                if calendar.isleap(y) == leap and sunday_is_0(y, 1, 1) == first)
    found = []
    for month in sorted(months):
        length = calendar.monthrange(year, month)[1]
        before = (datetime.date(year, month, 1) - datetime.date(year, 1, 1)).days
        found += [before + d - 1
                  for d in sorted(named_days(day, weekday, length, sunday_is_0(year, month, 1)))]
    return found


@functools.lru_cache(maxsize=400)
def named_dates(day, month, weekday):
    """Every date of the model's years, as days since 1970; and whether there is one ever."""
    months = values(month, 1, 12, MONTHS)
    kinds = {(leap, first): named_in_year(day, weekday, months, leap, first)
             for leap in (False, True) for first in range(7)}
    dates = []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        begin = datetime.date(year, 1, 1).toordinal() - EPOCH_DAY
        dates += [begin + d for d in kinds[calendar.isleap(year), sunday_is_0(year, 1, 1)]]
    ever = any(kinds[calendar.isleap(y), sunday_is_0(y, 1, 1)] for y in range(2000, 2400))
    return dates, ever


@functools.lru_cache(maxsize=400)
def named_times(second, minute, hour):
    return sorted(3600 * h + 60 * m + s for h in values(hour, 0, 23) for m in values(minute, 0, 59)
                  for s in values(second, 0, 59))


class Expression:
    def __init__(self, text):
        fields = MACROS.get(text.lower(), text).split()
        if len(fields) == 5:
            fields.insert(0, "0")
        second, minute, hour, day, month, weekday = fields
        self.follows = minute.startswith("*") or hour.startswith("*")
        self.times = named_times(second, minute, hour)
        self.days, self.ever = named_dates(day.replace("?", "*"), month, weekday.replace("?", "*"))

    def first_named(self, low, high):
        """The first local time that it names, low included, high not; or None."""
        at = bisect.bisect_left(self.days, low // 86400)
        while at < len(self.days) and self.days[at] * 86400 < high:
            day = self.days[at] * 86400
            time = bisect.bisect_left(self.times, low - day)
            if time < len(self.times):
                local = day + self.times[time]
                return local if local < high else None
            at += 1
        return None

    def names(self, local):
        return self.first_named(local, local + 1) is not None


# --- the rule ------------------------------------------------------------------------------------


def next_fire(expression, zone, after):
    """By spans; None beyond what the model looks at."""
    at = bisect.bisect_right(zone.starts, after) - 1
    for i in range(at, len(zone.starts)):
        start, end, offset = zone.starts[i], zone.ends[i], zone.offsets[i]
        before = zone.offsets[i - 1] if i else offset
        shown = max(start, after + 1) + offset
        if not expression.follows:
            # The clock jumped over something that it names.
            if start > after and expression.first_named(start + before, start + offset) is not None:
                return start
            shown = max(shown, start + before)  # what is shown again has been shown
        local = expression.first_named(shown, end + offset)
        if local is not None:
            return local - offset
    return None


def next_fire_walking(expression, zone, after, far):
    """By every instant; None where none comes until far."""
    for instant in range(after + 1, far):
        offset, previous = zone.offset(instant), zone.offset(instant - 1)
        local = instant + offset
        if expression.follows:
            if expression.names(local):
                return instant
            continue
        if offset > previous:
            if any(expression.names(skipped) for skipped in range(instant + previous, local)):
                return instant
        moment = datetime.datetime.fromtimestamp(instant, datetime.timezone.utc)
        if expression.names(local) and moment.astimezone(zone.info).fold == 0:
            return instant
    return None


# --- cases ---------------------------------------------------------------------------------------


class Cases:
    def __init__(self, rng, zones):
        self.rng, self.zones = rng, zones

    def numbers(self, low, high, names=None):
        rng = self.rng
        names = {v: k for k, v in (names or {}).items()}

        def number(v):
            if v in names and rng.random() < 0.5:
                return rng.choice([names[v], names[v].upper(), names[v].title()])
            return str(v)

        kind = rng.random()
        if kind < 0.35:
            return number(rng.randint(low, high))
        if kind < 0.50:
            return "*"
        if kind < 0.60:
            return "*/%d" % rng.randint(1, high + 2)
        if kind < 0.70:
            return "%s/%d" % (number(rng.randint(low, high)), rng.randint(1, high))
        if kind < 0.85:
            a, b = sorted((rng.randint(low, high), rng.randint(low, high)))
            step = "/%d" % rng.randint(1, 9) if rng.random() < 0.4 else ""
            return "%s-%s%s" % (number(a), number(b), step)
        return ",".join(number(rng.randint(low, high)) for _ in range(rng.randint(2, 5)))

    def day(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            return rng.choice("**?")
        if kind < 0.75:
            return self.numbers(1, 31)
        special = ["L", "LW", "l", "%dW" % rng.randint(1, 31), "%dw" % rng.randint(1, 31)]
        return ",".join(rng.sample(special + [str(rng.randint(1, 31))], rng.randint(1, 2)))

    def weekday(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.5:
            return rng.choice("**?")
        if kind < 0.8:
            return self.numbers(0, 6, DAYS)
        name = rng.choice(list(DAYS) + list("01234567"))
        return rng.choice([name + "#%d" % rng.randint(1, 5), name + "L", name, "7", "5-7", "fri-sun",
                           "sun-tue", "mon#1,%s#%d" % (name, rng.randint(1, 5))])

    def expression(self):
        rng = self.rng
        if rng.random() < 0.03:
            return rng.choice(list(MACROS))
        fields = [self.numbers(0, 59), self.numbers(0, 23), self.day(),
                  "*" if rng.random() < 0.6 else self.numbers(1, 12, MONTHS), self.weekday()]
        if rng.random() < 0.15:
            fields.insert(0, self.numbers(0, 59))
        return " ".join(fields)

    def expression_near(self, local):
        """One that names local, or a time near it."""
        rng = self.rng
        moment = EPOCH + datetime.timedelta(seconds=local)

        def around(number, step):
            return rng.choice([str(number)] * 3 + ["*", "*/%d" % step, "%d/%d" % (number % step, step)])

        day, month, weekday = rng.choice([
            ("*", "*", "*"), ("*", "*", "?"), (str(moment.day), "*", "*"),
            (str(moment.day), str(moment.month), "*"), ("?", "*", str(moment.isoweekday() % 7)),
            ("?", str(moment.month), "%d#%d" % (moment.isoweekday(), (moment.day + 6) // 7)),
            ("?", "*", "%dL" % moment.isoweekday()), ("%dW" % moment.day, "*", "?")])
        fields = [around(moment.minute, 15), around(moment.hour, 2), day, month, weekday]
        if rng.random() < 0.15:
            fields.insert(0, rng.choice(["0", "*", str(moment.second), "*/7"]))
        return " ".join(fields)

    def at_changes(self):
        """Every change of every zone until 2037, from both sides."""
        for name, zone in self.zones.items():
            for instant, before, after in zone.changes:
                if not 0 <= instant < 2145916800:
                    continue
                jump = abs(after - before)
                for _ in range(3):
                    local = instant + min(before, after) + self.rng.randint(-3600, jump + 3600)
                    text = self.expression_near(local)
                    for away in (-self.rng.randint(2, 100000), -jump - 1, -1, 0,
                                 self.rng.randint(0, jump), jump):
                        yield name, instant + away, text

    def anywhere(self):
        names = list(self.zones)
        while True:
            text = self.expression()
            for _ in range(200):
                name = self.rng.choice(names)
                until = 2145916800 if self.rng.random() < 0.85 else MODEL_END - 40 * 366 * 86400
                instant = self.rng.randint(0, until)
                changes = self.zones[name].changes
                if changes and self.rng.random() < 0.5:
                    near = self.rng.choice(changes)[0]
                    if 0 <= near < until:
                        instant = near + self.rng.randint(-200000, 100000)
                yield name, instant, text


class Comparison:
    def __init__(self, driver, zones, rng):
        self.driver, self.zones, self.rng = driver, zones, rng
        self.cases = self.walked = self.mismatches = self.refused = 0
        self.expressions = {}

    def expression(self, text):
        if text not in self.expressions:
            if len(self.expressions) > 50:
                self.expressions.clear()
            self.expressions[text] = Expression(text)
        return self.expressions[text]

    def answers(self, cases):
        lines = "".join("%s\t%d\t1\t%s\n" % case for case in cases)
        run = subprocess.run([self.driver], input=lines, stdout=subprocess.PIPE, text=True, check=True)
        return run.stdout.split("\n")

    def mismatch(self, case, said, wanted):
        self.mismatches += 1
        print("mismatch: %s after %d, \"%s\": %s instead of %s" % (*case, said, wanted))

    def walk(self, case, expression, wanted):
        """The model against every instant of the next hours."""
        name, after, _ = case
        far = after + 2 * 3600
        self.walked += 1
        walked = next_fire_walking(expression, self.zones[name], after, far)
        if walked != (wanted if wanted is not None and wanted < far else None):
            self.mismatch(case, wanted, "%s by walking" % walked)

    def compare(self, cases, walk):
        for case, said in zip(cases, self.answers(cases)):
            name, after, text = case
            expression = self.expression(text)
            wanted = next_fire(expression, self.zones[name], after)
            self.cases += 1
            if said == "refused":
                self.refused += 1
                if wanted is not None or expression.ever:
                    self.mismatch(case, said, wanted)
            elif wanted is None or wanted >= MODEL_END:
                if said != "never" and int(said) < MODEL_END:
                    self.mismatch(case, said, "none before 2112")
            elif said != str(wanted):
                self.mismatch(case, said, wanted)
            elif self.rng.random() < walk:
                self.walk(case, expression, wanted)


def main():
    driver, count = sys.argv[1], int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 6)
    names = ZONES if count >= 100000 else ZONES[:6] + rng.sample(ZONES[6:], 6) + \
        ["Australia/Lord_Howe", "Pacific/Apia"]
    zones = {name: Zone(name) for name in names}
    comparison = Comparison(driver, zones, rng)
    cases = Cases(rng, zones)
    changes = sum(1 for z in zones.values() for c in z.changes if 0 <= c[0] < 2145916800)
    near = list(cases.at_changes())
    if len(near) > count // 2:
        near = rng.sample(near, count // 2)
    every = itertools.chain(near, cases.anywhere())
    while comparison.cases < count and comparison.mismatches < 20:
        batch = list(itertools.islice(every, min(10000, count - comparison.cases)))
        comparison.compare(batch, 200 / count)
    print("%d cases in %d zones with %d changes, %d walked, %d refused, %d mismatches" % (
        comparison.cases, len(zones), changes, comparison.walked, comparison.refused,
        comparison.mismatches))
    sys.exit(comparison.mismatches > 0)


if __name__ == "__main__":
    main()
