#!/usr/bin/python3
"""confinement.py CONFIG [--write] <PROCESSES: is each daemon what the table of agentd(8) says?

CONFIG: a file with what `ash --json config show` prints; it says which instance. PROCESSES: lines of
confined.py. UNIT_CALLS in the environment: the calls that the unit of agentd keeps from it and from
all that it starts; ABSENT: descriptors that this host gives no reason for, as ROLE:DESCRIPTOR. --write
prints the table instead, from what was seen.
"""
import json, os, pwd, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIG = {key["key"]: key["value"] for key in json.load(open(sys.argv[1], encoding="utf-8"))}
PLACES = {CONFIG[key]: key for key in ("run_dir", "state_dir", "log_dir")}
USERS = ("control", "schedd", "secretd", "dialer", "webhook")
FIRST, RANGES = int(CONFIG["session_ids.first"]), int(CONFIG["session_ids.ranges"])
RANGE = 65536
UNIT_CALLS = set(os.environ.get("UNIT_CALLS", "").split())
ABSENT = set(os.environ.get("ABSENT", "").split())
ORDER = "agentd agentd-control schedd secretd runnerd dialer webhook spawner keeper broker egress init".split()
CAPS = """chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot
sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease
audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read
perfmon bpf checkpoint_restore""".split()
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def number(account):
    return int(account) if str(account).isdigit() else pwd.getpwnam(account).pw_uid


def user(process):
    known = {0: "root", **{number(CONFIG["users." + name]): "users." + name for name in USERS}}
    uid = process["uids"][0]
    if len(process["uids"]) != 1:
        return "several: " + " ".join(map(str, process["uids"]))
    if uid in known:
        return known[uid]
    return "of the agent's range" if FIRST <= uid < FIRST + RANGES * RANGE else str(uid)


def group(process):
    gids = process["gids"]
    if process["groups"] or len(gids) != 1:
        return "several"
    gid = gids[0]
    return "its own" if gid >= FIRST and gid == process["uids"][0] else str(gid)


def capabilities(process):
    sets = {process[k] for k in ("effective", "permitted", "bounding")}
    names = " ".join(c for i, c in enumerate(CAPS) if process["bounding"] >> i & 1) or "none"
    if len(sets) != 1 or process["inheritable"] or process["ambient"]:
        held = " ".join(c for i, c in enumerate(CAPS) if process["permitted"] >> i & 1) or "none"
        return f"{held}; bounding {names}"
    return names


def placed(path):
    """A path below a directory of the instance, by the key that names it; None elsewhere."""
    for place, key in PLACES.items():
        if path == place or path.startswith(place + "/"):
            return key + path[len(place):]
    return None


def root(process):
    path = process["root_path"]
    if process["role"] == "schedd":
        return "of its own: " + " ".join(sorted({e.split("-")[0] for e in process["root_entries"]}))
    if process["role"] == "spawner":
        return "of its own: " + " ".join(process["root_entries"])
    if process["role"] == "init":
        return "of the sandbox"
    return "of the host" if path == "/" else placed(path) or path


def kind(target):
    """Anonymous inodes by their name, sockets and pipes without their number."""
    if target.startswith("anon_inode:"):
        return target.split(":")[1].strip("[]")
    return target if target[0] == "/" else target.split(":")[0]


def descriptor(target):
    if target == log:
        return "log"
    target = kind(target.replace(" (deleted)", ""))
    if target == "/":
        return "tree"
    if target == "/dev/null":
        return "null"
    for place, name in (("/sys/fs/cgroup", "cgroup"), ("/memfd:", "memfd"), ("/proc/", "proc"),
                        (CONFIG["libexec_dir"] + "/", "helper"), ("/run/scarab-runtime-ids/", "claim")):
        if target.startswith(place):
            return name
    path = placed(target)
    if path is None:
        return target
    path = re.sub(UUID, "ID", path)
    return re.sub(r"/waits\b", "/AGENT", path).replace(".next.1", ".next")


def descriptors(process):
    """What a shell that starts agentd leaves open is no part of agentd."""
    skip = {"pipe", "null"} if process["role"] == "agentd" else set()
    return " ".join(sorted({descriptor(t) for t in process["fds"].values()} - skip))


def described(process, base):
    calls = process["calls"]
    if calls is None:
        text = "any"
    elif len(calls) > 300:
        text = "all but " + " ".join(sorted(set(process["all_calls"]) - set(calls)))
    else:
        own = sorted(set(calls) - base)
        lacks = sorted(base - set(calls))
        text = " ".join(["base"] + (["without"] + lacks if lacks else []) + (["with"] + own if own else []))
    return {"user": user(process), "group": group(process), "capabilities": capabilities(process), "root": root(process),
            "calls": text, "descriptors": descriptors(process)}


def read_table():
    section = open(ROOT + "/man/agentd.8", encoding="utf-8").read().split(".Sh CONFINEMENT")[1].split("\n.Sh ")[0]
    table, role, key = {"base": ""}, None, None
    for line in section.split("\n"):
        if line.startswith(".It Nm "):
            role = line[7:].strip()
            table[role] = {}
        elif line.startswith(".It Em "):
            key = line[7:].strip()
            if key == "base":
                table["base"] = ""
            else:
                table[role][key] = ""
        elif key and line and not line.startswith("."):
            if key == "base":
                table["base"] += " " + line
            else:
                table[role][key] = (table[role][key] + " " + line).strip()
        elif line.startswith(".El"):
            key = None
    return table


def wrap(text):
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) > 84:
            lines.append(line)
            line = ""
        line = (line + " " + word).strip()
    return "\n".join(lines + [line])


processes = {}
for line in sys.stdin:
    process = json.loads(line)
    process["role"] = {"memfd:init (deleted)": "init"}.get(process["role"], process["role"])
    processes.setdefault(process["role"], process)
log = processes["agentd"]["fds"]["2"]
confined = [set(p["calls"]) for p in processes.values() if p["calls"] and len(p["calls"]) < 200]
base = set.intersection(*confined)

if "--write" in sys.argv:
    print(".Bl -tag -width Ds\n.It Em base\n" + wrap(" ".join(sorted(base))))
    for role in ORDER:
        print(".It Nm " + role + "\n.Bl -tag -width capabilities -compact")
        for key, value in described(processes[role], base).items():
            print(f".It Em {key}\n{wrap(value)}")
        print(".El")
    print(".El")
    sys.exit(0)

table, failed = read_table(), False


def verdict(text, seen, said):
    global failed
    print(("ok" if seen == said else "FAIL") + " - " + text)
    if seen != said:
        failed = True
        print("# seen:      ", seen, "\n# agentd(8): ", said)


verdict("the calls of every process", " ".join(sorted(base)), " ".join(table["base"].split()))
all_calls = set(processes["agentd"]["all_calls"])


def without_unit(text):
    """The table's words for calls, less those that the unit keeps from everybody."""
    if text == "any":
        return "all but " + " ".join(sorted(UNIT_CALLS & all_calls)) if UNIT_CALLS else text
    if text.startswith("all but "):
        return "all but " + " ".join(sorted(set(text[8:].split()) | (UNIT_CALLS & all_calls)))
    return text


for role in ORDER:
    seen = described(processes[role], base) if role in processes else {}
    if role in table:
        table[role]["calls"] = without_unit(table[role].get("calls", ""))
        table[role]["descriptors"] = " ".join(
            d for d in table[role].get("descriptors", "").split() if f"{role}:{d}" not in ABSENT)
    for key in ("user", "group", "capabilities", "root", "calls", "descriptors"):
        verdict(f"{role}: {key}", seen.get(key), table.get(role, {}).get(key))
    verdict(f"{role}: can gain no privilege", processes.get(role, {}).get("no_new_privs"), True)
verdict("there is no other process", sorted(set(processes) - set(ORDER) - {"dash", "busybox", "sh"}), [])
sys.exit(failed)
