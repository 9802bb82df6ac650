#!/usr/bin/python3
"""confined.py PID…: what the kernel says of processes, one JSON object a line.

The system calls are those that every seccomp filter of the process lets through, found by running
the filters themselves (PTRACE_SECCOMP_GET_FILTER) for each number of a call; null: no filter. The
numbers of calls are those of the header <asm/unistd_64.h>, or of one beside this file.
"""
import ctypes, json, os, re, signal, struct, sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE, INTERRUPT, DETACH, GET_FILTER = 0x4206, 0x4207, 17, 0x420C
AUDIT_ARCH_X86_64, ALLOW = 0xC000003E, 0x7FFF0000
CALLS_MAX = 512
SOCKET, AF_UNIX = 41, 1


def ptrace(request, pid, address=0, data=None):
    result = LIBC.ptrace(request, pid, address, data)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {pid}")
    return result


def filters(pid):
    """The programs, newest first: lists of (code, jt, jf, k)."""
    found = []
    ptrace(SEIZE, pid)
    try:
        ptrace(INTERRUPT, pid)
        os.waitpid(pid, 0x40000000)  # __WALL
        while True:
            try:
                count = ptrace(GET_FILTER, pid, len(found))
            except OSError as problem:
                if problem.errno in (2, 22):  # no more, or none at all
                    return found
                raise
            buffer = ctypes.create_string_buffer(count * 8)
            ptrace(GET_FILTER, pid, len(found), buffer)
            found.append(list(struct.iter_unpack("HBBI", buffer.raw)))
    finally:
        ptrace(DETACH, pid)


def run(program, data):
    """What a classic BPF program answers for a struct seccomp_data."""
    a = x = at = 0
    memory = [0] * 16
    while True:
        code, jt, jf, k = program[at]
        at += 1
        kind, source = code & 7, x if code & 8 else k
        if kind == 0:  # ld
            a = struct.unpack_from("I", data, k)[0] if code & 0xE0 == 0x20 else k if code & 0xE0 == 0 else memory[k]
        elif kind == 1:
            x = k if code & 0xE0 == 0 else memory[k]
        elif kind == 2:
            memory[k] = a
        elif kind == 3:
            memory[k] = x
        elif kind == 4:
            op = code & 0xF0
            a = {0x00: a + source, 0x10: a - source, 0x40: a | source, 0x50: a & source, 0x60: a << source,
                 0x70: a >> source, 0xA0: a ^ source, 0x80: -a}[op] & 0xFFFFFFFF
        elif kind == 5:
            op = code & 0xF0
            if op == 0:
                at += k
            else:
                true = {0x10: a == source, 0x20: a > source, 0x30: a >= source, 0x40: bool(a & source)}[op]
                at += jt if true else jf
        elif kind == 6:
            return a if code & 0x18 == 0x10 else k
        else:
            a, x = (a, a) if code & 0xF8 == 0 else (x, x)


def allowed(pid):
    programs = filters(pid)
    if not programs:
        return None
    calls = []
    for number in range(CALLS_MAX):
        # socket(2) of a family that a unit lets through; of all other calls, with no argument set.
        arguments = [AF_UNIX if number == SOCKET else 0] + [0] * 5
        data = struct.pack("iIQ6Q", number, AUDIT_ARCH_X86_64, 0, *arguments)
        if all(run(p, data) & 0xFFFF0000 == ALLOW for p in programs):
            calls.append(number)
    return calls


def names():
    numbers = {}
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "unistd_64.h")
    for path in (beside, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"):
        if os.path.exists(path):
            for name, number in re.findall(r"#define __NR_(\w+) (\d+)", open(path).read()):
                numbers[int(number)] = name
    return numbers


def look(pid):
    status = dict(l.split(":", 1) for l in open(f"/proc/{pid}/status").read().splitlines())
    status = {k: v.strip() for k, v in status.items()}
    table = names()
    fds = {}
    for fd in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        try:
            fds[fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass
    root = os.stat(f"/proc/{pid}/root")
    calls = allowed(pid)
    return {
        "pid": pid,
        "role": os.path.basename(os.readlink(f"/proc/{pid}/exe")),
        "uids": sorted(set(map(int, status["Uid"].split()))),
        "gids": sorted(set(map(int, status["Gid"].split()))),
        "groups": status["Groups"].split(),
        "effective": int(status["CapEff"], 16),
        "permitted": int(status["CapPrm"], 16),
        "inheritable": int(status["CapInh"], 16),
        "bounding": int(status["CapBnd"], 16),
        "ambient": int(status["CapAmb"], 16),
        "no_new_privs": status["NoNewPrivs"] == "1",
        "root": [root.st_dev, root.st_ino],
        "root_path": os.readlink(f"/proc/{pid}/root"),
        "root_entries": sorted(os.listdir(f"/proc/{pid}/root")),
        "fds": fds,
        "calls": None if calls is None else sorted(table[n] for n in calls if n in table),
        "all_calls": sorted(table.values()),
    }


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps(look(int(argument))))
