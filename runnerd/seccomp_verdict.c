/* An interpreter for the classic BPF of seccomp filters, as far as libseccomp makes use of it. */
#include <string.h>

#include "seccomp.h"

static int
jump(const struct sock_filter *at, uint32_t a, bool *taken)
{
	switch (at->code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		*taken = a == at->k;
		return 0;
	case BPF_JMP | BPF_JGT | BPF_K:
		*taken = a > at->k;
		return 0;
	case BPF_JMP | BPF_JGE | BPF_K:
		*taken = a >= at->k;
		return 0;
	case BPF_JMP | BPF_JSET | BPF_K:
		*taken = a & at->k;
		return 0;
	default:
		return -1;
	}
}

uint32_t
program_verdict(const struct sock_filter *program, size_t length, const struct seccomp_data *seen,
		size_t *steps)
{
	const struct sock_filter *at;
	uint32_t a = 0;
	bool taken;

	for (size_t i = 0; i < length; i++) {
		at = &program[i];
		if (steps)
			++*steps;
		if (at->code == (BPF_RET | BPF_K))
			return at->k;
		if (at->code == (BPF_LD | BPF_W | BPF_ABS) && at->k <= sizeof(*seen) - sizeof(a))
			memcpy(&a, (const char *)seen + at->k, sizeof(a));
		else if (at->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= at->k;
		else if (at->code == (BPF_JMP | BPF_JA))
			i += at->k;
		else if (jump(at, a, &taken) == 0)
			i += taken ? at->jt : at->jf;
		else
			break;
	}
	return SECCOMP_RET_KILL_PROCESS;
}
