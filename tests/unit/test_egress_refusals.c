/* What the kernel's counters of a network namespace say. */
// with: runnerd/egress/refusals.c
#include "common/cleanup.h"
#include "runnerd/egress/egress.h"
#include "tests/unit/suite.h"

static const char snmp[] = "Ip: Forwarding DefaultTTL OutNoRoutes\n"
			   "Ip: 2 64 7\n"
			   "IcmpMsg: OutType3\n"
			   "IcmpMsg: 9\n"
			   "Tcp: RtoAlgorithm MaxConn AttemptFails\n"
			   "Tcp: 1 -1 18446744073709551615\n"
			   "Udp: InDatagrams NoPorts\n"
			   "Udp: 1\n";

void
note(struct egress *egress, const char *name, unsigned port, const char *why)
{
	(void)egress;
	(void)name;
	(void)port;
	(void)why;
}

START_TEST(counters_stand_below_their_names)
{
	ck_assert_uint_eq(refusals_counter(snmp, "Ip", "OutNoRoutes"), 7);
	ck_assert_uint_eq(refusals_counter(snmp, "Ip", "Forwarding"), 2);
	ck_assert_uint_eq(refusals_counter(snmp, "Tcp", "AttemptFails"), UINT64_MAX);
}
END_TEST

START_TEST(what_is_not_there_is_none)
{
	ck_assert_uint_eq(refusals_counter("", "Ip", "OutNoRoutes"), 0);
	ck_assert_uint_eq(refusals_counter("Ip: OutNoRoutes\n", "Ip", "OutNoRoutes"), 0);
	ck_assert_uint_eq(refusals_counter(snmp, "Icmp", "OutType3"), 0);
	ck_assert_uint_eq(refusals_counter(snmp, "Ip", "OutNo"), 0);
	ck_assert_uint_eq(refusals_counter(snmp, "Udp", "NoPorts"), 0);
	ck_assert_uint_eq(refusals_counter6("", "Ip6OutNoRoutes"), 0);
}
END_TEST

START_TEST(counters_of_ipv6_have_a_line_each)
{
	static const char text[] = "Ip6OutNoRoutesNever   \t3\nIp6OutNoRoutes         \t12\n";

	ck_assert_uint_eq(refusals_counter6(text, "Ip6OutNoRoutes"), 12);
	ck_assert_uint_eq(refusals_counter6(text, "Ip6In"), 0);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    counters_stand_below_their_names,
	    what_is_not_there_is_none,
	    counters_of_ipv6_have_a_line_each,
	};

	return suite_run("egress/refusals", tests, ARRAY_LEN(tests));
}
