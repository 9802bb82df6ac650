#!/usr/bin/python3
"""confinement.py [--write] <PROCESSES: is each daemon what the table of agentd(8) says?

PROCESSES: lines of confined.py. From the environment: dir and BUILD, uid_base and session_ids as
tests/system/lib.sh has them. --write prints the table instead, from what was seen.
"""
import json, os, re, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DIR, BUILD = os.environ["dir"], os.environ["BUILD"]
UID_BASE, FIRST = int(os.environ["uid_base"]), int(os.environ["session_ids"])
RANGE = 65536
ORDER = "agentd agentd-control schedd secretd runnerd dialer webhook spawner keeper broker egress init".split()
CAPS = """chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot
sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease
audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read
perfmon bpf checkpoint_restore""".split()
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def user(process):
    known = {0: "root", UID_BASE + 1: "users.control", UID_BASE + 2: "users.schedd", UID_BASE + 3: "users.secretd",
             UID_BASE + 4: "users.dialer", UID_BASE + 5: "users.webhook"}
    uid = process["uids"][0]
    if len(process["uids"]) != 1:
        return "several: " + " ".join(map(str, process["uids"]))
    if uid in known:
        return known[uid]
    return "of the agent's range" if FIRST <= uid < FIRST + 64 * RANGE else str(uid)


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


def root(process):
    path = process["root_path"].replace(DIR + "/run", "run_dir").replace(DIR + "/state", "state_dir")
    if process["role"] == "schedd":
        return "of its own: " + " ".join(sorted({e.split("-")[0] for e in process["root_entries"]}))
    if process["role"] == "spawner":
        return "of its own: " + " ".join(process["root_entries"])
    if process["role"] == "init":
        return "of the sandbox"
    return {"/": "of the host"}.get(path, path)


def descriptor(target):
    target = target.replace(" (deleted)", "")
    if target == "/":
        return "tree"
    if target in ("/dev/null", DIR + "/agentd.log"):
        return "null" if target == "/dev/null" else "log"
    for place, name in (("/sys/fs/cgroup", "cgroup"), ("/memfd:", "memfd"), ("/proc/", "proc"), (BUILD, "helper"),
                        ("/run/scarab-runtime-ids", "claim")):
        if target.startswith(place):
            return name
    for place, name in ((DIR + "/run", "run_dir"), (DIR + "/state", "state_dir"), (DIR + "/log", "log_dir")):
        if target.startswith(place):
            tail = re.sub(UUID, "ID", target[len(place):])
            tail = re.sub(r"/waits\b", "/AGENT", tail).replace(".next.1", ".next")
            return name + tail
    return target


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
for role in ORDER:
    seen = described(processes[role], base) if role in processes else {}
    for key in ("user", "group", "capabilities", "root", "calls", "descriptors"):
        verdict(f"{role}: {key}", seen.get(key), table.get(role, {}).get(key))
    verdict(f"{role}: can gain no privilege", processes.get(role, {}).get("no_new_privs"), True)
verdict("there is no other process", sorted(set(processes) - set(ORDER) - {"dash", "busybox", "sh"}), [])
sys.exit(failed)
