#!/usr/bin/python3
"""manuals.py ASH SCHEMA: are the man pages and the programs of one mind?

ASH is the binary, whose table of commands is asked for; SCHEMA prints the keys of both files.
Covered, each in both directions: commands, their options, keys of manifests and of agentd.yaml,
environment variables, exit statuses, actions of the audit log, outcomes, states and steps of
sessions, the metrics.  Of messages: every command that one recommends exists, with its options, and
every page that one names.  The words of messages themselves stand in no page.
"""
import glob, json, os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGES = {os.path.basename(p): open(p, encoding="utf-8").read() for p in glob.glob(ROOT + "/man/*.[1-8]")}
SOURCES = {
    p: open(p, encoding="utf-8").read()
    for d in ("agentd", "ash", "common", "runnerd", "schedd", "secretd", "libagent/c")
    for p in glob.glob(f"{ROOT}/{d}/**/*.[chd]*", recursive=True)
}
failed = False


def verdict(text, problems):
    global failed
    problems = sorted(set(problems))
    print(("FAIL" if problems else "ok") + " - " + text)
    for problem in problems[:40]:
        print("#", problem)
    failed = failed or bool(problems)


def flat(mdoc):
    """Words of one line of mdoc without its macros' marks."""
    mdoc = re.sub(r"\b(Oo|Oc|Op|Ns|Xo|Xc|Pq|No)\b", " ", mdoc)
    return " ".join(mdoc.split())


# --- commands and options ---------------------------------------------------------------------
table = json.loads(subprocess.check_output([sys.argv[1], "--json", "help"]))
commands = {c["command"]: c for c in table["commands"]}


def page_of(command):
    page = f"ash-{command.split()[0]}.1"
    if page in PAGES:
        return page
    return next((p for p in sorted(PAGES) if re.match(r"ash(-\w+)?\.1$", p) and command in entries(p)), "ash.1")


def entries(page):
    """What a page says of each command: {command: text}, by its lists' entries."""
    found, current, lines = {}, None, PAGES[page].split("\n")
    stop = re.compile(r"\.Sh (JSON|ENVIRONMENT|FILES|EXIT|EXAMPLES|SEE)")
    depth = 0
    for i, line in enumerate(lines):
        if stop.match(line):
            current = None
        depth += line.startswith(".Bl") - line.startswith(".El")
        words = None
        if line.startswith(".It Ic "):
            words = line[7:]
        elif line == ".It Xo" and lines[i + 1].startswith(".Ic "):
            words = lines[i + 1][4:]
        if words is not None:
            name = re.match(r"([a-z-]+( [a-z][a-z-]+)?)(?= (Ar|Cm|Op|Oo|Fl|Ns|Xo|,)|$)", words)
            current = name.group(1) if name else words
            found.setdefault(current, "")
        elif line.startswith(".It") and depth <= 1:
            current = None
        if current:
            found[current] += line + "\n"
    return found


described = {}
for page in PAGES:
    alone = re.match(r"ash-([a-z]+)\.1$", page)
    if alone and alone.group(1) in commands:  # a page of one command
        described[alone.group(1)] = PAGES[page].split(".Sh JSON")[0]
for page in PAGES:
    if re.match(r"ash(-[a-z]+)?\.1$", page):
        for name, text in entries(page).items():
            described.setdefault(name, "")
            described[name] += text
verdict("every command is in a manual", [c for c in commands if c not in described])
verdict("every command of a manual exists", [c for c in described if c not in commands])


def flags(text):
    """--names and letters that a text of mdoc shows."""
    names = {"--" + n for n in re.findall(r"\bFl -([a-z][a-z-]*)", text)}
    names |= {"--" + n for n in re.findall(r"\bFl [a-zA-Z] , -([a-z][a-z-]*)", text)}
    names |= {"--" + n for n in re.findall(r"\bFl -[a-z-]+ \| -([a-z][a-z-]*)", text)}
    names |= {"--" + n for n in re.findall(r"\| -([a-z][a-z-]*)", text)}
    names |= {"--" + n for n in re.findall(r"\| Ns Fl -([a-z][a-z-]*)", text)}
    return names, set(re.findall(r"\bFl ([a-zA-Z])\b", text))


missing, invented = [], []
common = {o["name"] for o in table["options"]}
for name, command in commands.items():
    # What another command takes is named after it.
    own_text = re.sub(r"^\.Ic (?!%s)[a-z]+( [a-z-]+)? Fl .*$" % re.escape(name), "", described.get(name, ""), flags=re.M)
    names, letters = flags(own_text)
    for option in command["options"]:
        if option["name"] not in names and option["letter"] not in letters:
            missing.append(f"{name} {option['name']}")
    own = {o["name"] for o in command["options"]} | common
    for other in commands.values():
        own |= {o["name"] for o in other["options"]} if other["command"].split()[0] == name.split()[0] else set()
    invented += [f"{name} {n}" for n in names - own]
names, letters = flags(PAGES["ash.1"])
missing += [o["name"] for o in table["options"] if o["name"] not in names]
verdict("every option is in the manual of its command", missing)
verdict("every option of a manual exists", invented)

# --- keys and words ---------------------------------------------------------------------------
schema = [l.split(" ", 1) for l in subprocess.check_output([sys.argv[2]], text=True).splitlines()]
kinds = {}
for kind, word in schema:
    kinds.setdefault(kind, set()).add(word)


def cm_words(text):
    """Words that .Cm or .It Cm show."""
    words = set()
    for line in text.split("\n"):
        for run in re.findall(r"\bCm ((?:[^\s]+(?: , )?)+)", line):
            words |= {w for w in re.split(r" , |\s", run) if w}
    return words


for kind, page in (("manifest", "agent-manifest.5"), ("config", "agentd.yaml.5")):
    shown = cm_words(PAGES[page]) | set(re.findall(r"\b([A-Za-z_]+):", PAGES[page]))
    keys = {p.split(".")[-1] for p in kinds[kind]}
    verdict(f"every key is in {page}", [p for p in kinds[kind] if p.split(".")[-1] not in shown])
    items = [w for l in PAGES[page].split("\n") if l.startswith(".It Cm ") for w in re.split(r" , ", l[7:])]
    items = [w.split()[0].strip("[]:,") for w in items]
    known = keys | kinds["word"] | {p.split(".", 1)[-1] for p in kinds[kind]} | kinds[kind]
    quoted = "\n".join(SOURCES.values())
    verdict(
        f"every entry of {page} is a key or a word of one",
        [w for w in items if w not in known and f'"{w}"' not in quoted and f'"{w}:' not in quoted
         and re.match(r"[a-z_.]+$", w)],
    )

everything = "\n".join(PAGES.values())
plain = re.sub(r"\\[&-]", "", everything)
for kind in ("outcome", "state", "step"):
    verdict(f"every {kind} of a session is in a manual", [w for w in kinds[kind] if not re.search(rf"\b{w}\b", plain)])

# --- environment ------------------------------------------------------------------------------
read = {v for text in SOURCES.values() for v in re.findall(r'getenv\("([A-Z_]+)"\)', text)}
given = {v for text in SOURCES.values() for v in re.findall(r'"([A-Z][A-Z_]{2,})="', text)}
given |= {v for text in SOURCES.values() for v in re.findall(r'\{"((?:AGENT|SCARAB|CREDENTIALS|XDG|LOGNAME|TMPDIR)_?[A-Z_]*)"', text)}
shown = {v for l in plain.split("\n") if l.startswith((".It Ev", ".Ev", ".It Xo Ev")) for v in re.findall(r"[A-Z][A-Z_]{2,}", l)}
shown |= set(re.findall(r"\bEv ([A-Z][A-Z_]+)", plain))
verdict("every variable that is read or set is in a manual", [v for v in read | given if v not in shown and not re.search(rf"\b{v}\b", plain)])
listed = {v for l in plain.split("\n") if l.startswith(".It Ev") for v in re.findall(r"[A-Z][A-Z_]{2,}", l)}
sources = "\n".join(SOURCES.values())
verdict("every variable of a manual is known to a program", [v for v in listed if v not in sources])

# --- exit statuses ----------------------------------------------------------------------------
codes = set(re.findall(r"\bERR_[A-Z_]+ = (\d+)", SOURCES[ROOT + "/common/error.h"]))
codes = codes or {str(i) for i in range(1, 8)}
section = PAGES["ash.1"].split(".Sh EXIT STATUS")[1].split("\n.Sh ")[0]
items = set(re.findall(r"^\.It (\d+)$", section, re.M))
verdict("exit statuses of ash: the manual's and the program's", codes - {"0"} ^ items - {"0"})
verdict("and those of an agent's end", [s for s in ("124", "125", "128", "130") if s not in section.replace("128+N", "128")])
agentd = PAGES["agentd.8"].split(".Sh EXIT STATUS")[1].split("\n.Sh ")[0]
verdict("exit statuses of agentd are among them", set(re.findall(r"^\.It (\d+)$", agentd, re.M)) - codes - {"0"})

# --- the journal ------------------------------------------------------------------------------
ids = set(re.findall(r'\] = "([0-9a-f]{32})"', SOURCES[ROOT + "/common/log.c"]))
verdict("identifiers of the journal's messages: the manual's and the program's", ids ^ set(re.findall(r"^\.It Li ([0-9a-f]{32})$", PAGES["agentd.8"], re.M)))

# --- the audit log ----------------------------------------------------------------------------
# Words of that form that are no action: files, members of an event, and names of crash points.
NO_ACTION = re.compile(r".*\.(sock|lock|pids|yaml|log|[ch])$|event\.(data|id|source|subject|time|type)$")
WORD = re.compile(r'"((?:agent|agentd|audit|event|home|network|secret|session|tool)\.[a-z-]+)"')
actions = {
    word
    for path, text in SOURCES.items()
    for line in text.split("\n")
    if "CRASH_POINT" not in line and not line.startswith("#include") and "/home/" not in path
    for word in WORD.findall(line)
    if not NO_ACTION.match(word)
}
verdict("every action of the audit log is in a manual", [a for a in actions if not re.search(rf"\b{re.escape(a)}\b", plain)])
listed = set()
for page, head in (("agentd-control.8", ".Ss Audit"), ("secretd.8", ".Ss Actions")):
    section = PAGES[page].split(head)[1].split("\n.Ss ")[0]
    listed |= set(re.findall(r"^\.It (?:Li )?([a-z]+\.[a-z-]+)", section, re.M))
verdict("every action that a manual lists exists", listed - actions)

# --- what messages recommend ------------------------------------------------------------------
bad = []
for path, text in SOURCES.items():
    joined = re.sub(r'"\s*\n\s*"', "", text)
    for string in re.findall(r'"((?:[^"\\\n]|\\.)*)"', joined):
        for words in re.findall(r"\bash (?:--json )?([a-z][a-z-]*(?: [a-z-]+)?)", string):
            first, *rest = words.split()
            if first in ("cannot", "is", "and", "or", "has", "does", "itself", "of", "exits", "that", "prints", "s", "for", "offered"):
                continue
            groups = {c.split()[0] for c in commands}
            two = " ".join([first] + rest[:1])
            if two in commands or first in commands or (first in groups and not rest):
                continue
            bad.append(f"{os.path.relpath(path, ROOT)}: ash {words}")
        for page, section in re.findall(r"\b([a-z][a-z.-]+)\(([1-8])\)", string):
            if page.startswith(("ash", "agent", "runnerd", "schedd", "secretd", "mcp-plugin", "libagent", "mission", "scarab")):
                if f"{page}.{section}" not in PAGES:
                    bad.append(f"{os.path.relpath(path, ROOT)}: {page}({section})")
verdict("every command and page that a message names exists", bad)

# --- pages themselves -------------------------------------------------------------------------
ours = re.compile(r"(ash|agent|runnerd|schedd|secretd|dialer|webhook|mcp-plugin|libagent|mission|scarab)")
verdict(
    "every page of ours that another names exists",
    [f"{p}: {n}({s})" for p, t in PAGES.items() for n, s in re.findall(r"^\.?.*\bXr ([a-z][a-z._-]*) ([1-8])", t, re.M)
     if ours.match(n) and f"{n}.{s}" not in PAGES],
)
sys.exit(failed)
