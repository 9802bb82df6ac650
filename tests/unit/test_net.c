/* Rules of a network and where addresses lead. */
#include <arpa/inet.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "common/netrule.h"
#include "tests/unit/suite.h"

static struct net_rule
rule(const char *text)
{
	struct net_rule parsed;
	char why[REASON_SIZE] = "";

	ck_assert_msg(net_rule_parse(text, &parsed, why), "%s: %s", text, why);
	return parsed;
}

static struct in6_addr
address(const char *text)
{
	struct in6_addr parsed;

	ck_assert_msg(net_address(text, &parsed) > 0, "%s", text);
	return parsed;
}

START_TEST(rules_are_written_as_they_were_read)
{
	static const struct {
		const char *text, *again;
	} rules[] = {
	    {"a.example:443", NULL},
	    {"A.Example:443", "a.example:443"},
	    {"*.a.example:1-65535", NULL},
	    {"10.0.0.0/8:80-90", NULL},
	    {"10.1.2.3:80", NULL},
	    {"10.1.2.3/32:80", "10.1.2.3:80"},
	    {"[2001:db8::1]:443", NULL},
	    {"[fd00::]/8:1", "fd00::/8:1"},
	    {"0.0.0.0/0:443", NULL},
	    {"host.agentd:11434", NULL},
	    {"HOST.agentd:11434", "host.agentd:11434"},
	};
	char text[NET_TEXT_MAX + 1];

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		struct net_rule parsed = rule(rules[i].text);

		ck_assert_str_eq(net_rule_text(&parsed, text, sizeof(text)),
				 rules[i].again ? rules[i].again : rules[i].text);
	}
}
END_TEST

START_TEST(what_is_no_rule_is_refused_with_its_reason)
{
	static const struct {
		const char *text, *why;
	} wrong[] = {
	    {"", "needs a port"},
	    {"a.example", "needs a port"},
	    {"a.example:", "must end with a port"},
	    {"a.example:0", "must end with a port"},
	    {"a.example:080", "must end with a port"},
	    {"a.example:65536", "must end with a port"},
	    {"a.example:9-8", "must end with a port"},
	    {"a.example:1-2-3", "must end with a port"},
	    {"*:443", "must name a host"},
	    {"a.*.b:443", "must name a host"},
	    {"a..b:443", "must name a host"},
	    {"-a.b:443", "must name a host"},
	    {"a.1:443", "must name a host"},
	    {"a b:443", "must name a host"},
	    {"10.0.0.1/8:443", "has address bits beyond"},
	    {"10.0.0.0/33:443", "has a prefix longer"},
	    {"10.0.0.0/:443", "must be ADDRESS/PREFIX"},
	    {"10.0.0.0/0008:443", "must be ADDRESS/PREFIX"},
	    {"::1:443", "an IPv6 address needs brackets"},
	    {"[10.0.0.1]:443", "must name a host"},
	    {"x.agentd:1", "ends in .agentd"},
	    {"*.agentd:1", "ends in .agentd"},
	    {"*.host.agentd:1", "ends in .agentd"},
	};
	struct net_rule parsed;
	char why[REASON_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		why[0] = '\0';
		ck_assert_msg(!net_rule_parse(wrong[i].text, &parsed, why), "%s", wrong[i].text);
		ck_assert_msg(strstr(why, wrong[i].why), "%s: %s", wrong[i].text, why);
	}
}
END_TEST

START_TEST(what_is_the_sandboxes_own_cannot_be_let_through)
{
	static const char *const impossible[] = {"127.0.0.1:1",  "127.0.0.0/8:1",
						 "[::1]:1",      "198.18.0.0/15:1",
						 "198.19.1.1:1", "fdc4:f7b2:3e5a:198::/96:1"};
	static const char *const possible[] = {"0.0.0.0/0:1", "10.0.0.0/8:1", "[fd00::]/8:1",
					       "a.b:1", "host.agentd:1"};
	char why[REASON_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(impossible); i++) {
		struct net_rule parsed = rule(impossible[i]);

		ck_assert_msg(!net_rule_possible(&parsed, why), "%s", impossible[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(possible); i++) {
		struct net_rule parsed = rule(possible[i]);

		ck_assert_msg(net_rule_possible(&parsed, why), "%s: %s", possible[i], why);
	}
}
END_TEST

START_TEST(a_rule_lets_through_what_it_names)
{
	struct net_rule exact = rule("a.example:443"), below = rule("*.a.example:80-81"),
			host = rule("host.agentd:1"), range = rule("10.0.0.0/9:5");
	struct in6_addr in = address("10.127.0.1"), out = address("10.128.0.1"),
			v6 = address("::a7f:1");

	ck_assert(net_rule_allows_name(&exact, "a.example", 443));
	ck_assert(!net_rule_allows_name(&exact, "a.example", 444));
	ck_assert(!net_rule_allows_name(&exact, "b.a.example", 443));
	ck_assert(!net_rule_allows_name(&exact, "xa.example", 443));
	ck_assert(net_rule_allows_name(&below, "b.a.example", 80));
	ck_assert(net_rule_allows_name(&below, "c.b.a.example", 81));
	ck_assert(!net_rule_allows_name(&below, "b.a.example", 82));
	ck_assert(!net_rule_allows_name(&below, "a.example", 80));
	ck_assert(!net_rule_allows_name(&below, "ba.example", 80));
	ck_assert(!net_rule_allows_name(&below, ".a.example", 80));
	ck_assert(net_rule_allows_name(&host, "host.agentd", 1));
	ck_assert(!net_rule_allows_name(&range, "10.0.0.1", 5));
	ck_assert(net_rule_allows_address(&range, &in, 5));
	ck_assert(!net_rule_allows_address(&range, &in, 6));
	ck_assert(!net_rule_allows_address(&range, &out, 5));
	ck_assert(!net_rule_allows_address(&range, &v6, 5));
	ck_assert(!net_rule_allows_address(&exact, &in, 443));
	ck_assert(net_rule_allows_name(&net_rule_any, "b.a.example", 65535));
	ck_assert(net_rule_allows_address(&net_rule_any, &in, 1));
	ck_assert(net_rule_allows_address(&net_rule_any, &v6, 1));
	ck_assert(!net_rule_allows_name(&net_rule_any, "host.agentd", 1));
	ck_assert(!net_rule_allows_name(&net_rule_any, "agentd", 1));
	ck_assert(!net_rule_allows_name(&net_rule_any, "", 1));
	ck_assert(!net_rule_allows_name(&net_rule_any, "a b.example", 1));
}
END_TEST

START_TEST(ports_of_rules_are_few_and_sorted)
{
	struct net_rule items[] = {rule("a.b:443"), rule("c.d:80-82"), rule("e.f:81-83")};
	struct net_rules rules = {items, ARRAY_LEN(items)};
	uint16_t ports[NET_PORTS_MAX];
	struct net_rule many = rule("a.b:1-129");

	ck_assert_int_eq(net_rules_ports(&rules, ports), 5);
	ck_assert_uint_eq(ports[0], 80);
	ck_assert_uint_eq(ports[3], 83);
	ck_assert_uint_eq(ports[4], 443);
	rules = (struct net_rules){&many, 1};
	ck_assert_int_eq(net_rules_ports(&rules, ports), -E2BIG);
}
END_TEST

START_TEST(records_bring_the_rules_back_or_nothing)
{
	static const char *const texts[] = {"a.b:443", "*.c.d:1-9", "[fd00::]/8:7",
					    "host.agentd:9"};
	struct rows *rows = rows_new("rules");
	struct net_rules rules;
	char text[NET_TEXT_MAX + 1];
	struct net_rule bad = rule("a.b:443");
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct net_rule one = rule(texts[i]);

		ck_assert_int_eq(net_rule_add(rows, &one), 0);
	}
	fd = rows_seal(rows);
	ck_assert_int_eq(net_rules_read(fd, &rules), 0);
	ck_assert_uint_eq(rules.count, ARRAY_LEN(texts));
	ck_assert_str_eq(net_rule_text(&rules.items[0], text, sizeof(text)), texts[0]);
	ck_assert_str_eq(net_rule_text(&rules.items[1], text, sizeof(text)), texts[1]);
	ck_assert_str_eq(net_rule_text(&rules.items[2], text, sizeof(text)), "fd00::/8:7");
	ck_assert_str_eq(net_rule_text(&rules.items[3], text, sizeof(text)), texts[3]);
	net_rules_clear(&rules);
	close(fd);

	strcpy(bad.name, "no name");
	rows = rows_new("rules");
	ck_assert_int_eq(net_rule_add(rows, &bad), 0);
	fd = rows_seal(rows);
	ck_assert_int_eq(net_rules_read(fd, &rules), -EBADMSG);
	ck_assert_ptr_null(rules.items);
	close(fd);
}
END_TEST

/* what NULL: of the public Internet. */
START_TEST(addresses_that_are_not_public_are_known)
{
	static const struct {
		const char *text, *what;
	} addresses[] = {
	    {"8.8.8.8", NULL},
	    {"172.15.255.255", NULL},
	    {"172.32.0.1", NULL},
	    {"100.128.0.1", NULL},
	    {"2606:4700::1", NULL},
	    {"2a00:1450::1", NULL},
	    {"64:ff9b::8.8.8.8", NULL},
	    {"2002:808:808::1", NULL},
	    {"0.0.0.0", "unspecified"},
	    {"0.1.2.3", "unspecified"},
	    {"10.0.0.1", "private"},
	    {"172.16.0.1", "private"},
	    {"172.31.255.255", "private"},
	    {"192.168.1.1", "private"},
	    {"100.64.0.1", "carrier"},
	    {"100.100.100.200", "carrier"},
	    {"127.0.0.1", "loopback"},
	    {"127.255.255.254", "loopback"},
	    {"169.254.169.254", "link-local"},
	    {"168.63.129.16", "metadata"},
	    {"192.0.0.192", "reserved"},
	    {"198.18.0.1", "benchmarks"},
	    {"224.0.0.1", "multicast"},
	    {"255.255.255.255", "reserved"},
	    {"::", "unspecified"},
	    {"::1", "loopback"},
	    {"::ffff:127.0.0.1", "loopback"},
	    {"::ffff:169.254.169.254", "link-local"},
	    {"::127.0.0.1", "reserved"},
	    {"::a9fe:a9fe", "reserved"},
	    {"fd00:ec2::254", "private"},
	    {"fe80::1", "link-local"},
	    {"fec0::1", "private"},
	    {"ff02::1", "multicast"},
	    {"64:ff9b::169.254.169.254", "link-local"},
	    {"64:ff9b::10.0.0.1", "private"},
	    {"64:ff9b:1::8.8.8.8", "translator"},
	    {"2002:a9fe:a9fe::1", "link-local"},
	    {"2002:7f00:1::", "loopback"},
	    {"::ffff:0:127.0.0.1", "loopback"},
	    {"::ffff:0:8.8.8.8", "reserved"},
	    {"2001::1", "reserved"},
	    {"2001:db8::1", "documentation"},
	    {"3fff::1", "documentation"},
	    {"5f00::1", "reserved"},
	    {"4000::1", "reserved"},
	};

	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		struct in6_addr one = address(addresses[i].text);
		const char *what = net_address_special(&one);

		if (!addresses[i].what)
			ck_assert_msg(!what, "%s is %s", addresses[i].text, what);
		else
			ck_assert_msg(what && strstr(what, addresses[i].what), "%s is %s",
				      addresses[i].text, what ? what : "public");
	}
}
END_TEST

START_TEST(a_wide_range_names_nothing_special)
{
	static const struct {
		const char *text;
		bool special;
	} ranges[] = {
	    {"0.0.0.0/0:1", false},  {"10.0.0.0/7:1", false},      {"10.0.0.0/8:1", true},
	    {"10.1.0.0/16:1", true}, {"169.254.169.254:1", true},  {"8.8.8.0/24:1", false},
	    {"::/0:1", false},       {"fd00::/8:1", true},         {"[2606:4700::1]:1", false},
	    {"2606::/16:1", false},  {"[64:ff9b::a00:1]:1", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		struct net_rule one = rule(ranges[i].text);

		ck_assert_msg((net_range_special(&one.address, one.bits) != NULL) ==
				  ranges[i].special,
			      "%s", ranges[i].text);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    rules_are_written_as_they_were_read,
	    what_is_no_rule_is_refused_with_its_reason,
	    what_is_the_sandboxes_own_cannot_be_let_through,
	    a_rule_lets_through_what_it_names,
	    ports_of_rules_are_few_and_sorted,
	    records_bring_the_rules_back_or_nothing,
	    addresses_that_are_not_public_are_known,
	    a_wide_range_names_nothing_special,
	};

	return suite_run("net", tests, ARRAY_LEN(tests));
}
