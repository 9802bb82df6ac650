/* Where a session may be connected to, and which name servers are asked. */
// with: runnerd/dialer/check.c runnerd/dialer/resolve.c
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/dialer/dialer.h"
#include "tests/unit/suite.h"

static const struct {
	const char *rules[3];
	const char *name, *address;
	unsigned port;
	const char *why; /* NULL: it may */
} connections[] = {
    {{"a.example:443"}, "a.example", "8.8.8.8", 443, NULL},
    {{"a.example:443"}, "a.example", "2606:4700::1", 443, NULL},
    {{"a.example:443"}, "a.example", "8.8.8.8", 80, "no rule lets a.example through"},
    {{"a.example:443"}, "b.example", "8.8.8.8", 443, "no rule lets b.example through"},
    {{"a.example:443"}, "", "8.8.8.8", 443, "no rule lets 8.8.8.8 through"},
    {{"a.example:443"}, "a.example", "10.0.0.1", 443, "10.0.0.1 is private"},
    {{"a.example:443"}, "a.example", "::ffff:10.0.0.1", 443, "10.0.0.1 is private"},
    {{"a.example:443"}, "a.example", "64:ff9b::a00:1", 443, "is private"},
    {{"a.example:443"}, "a.example", "169.254.169.254", 443, "link-local"},
    {{"a.example:443", "10.0.0.0/8:443"}, "a.example", "10.0.0.1", 443, NULL},
    {{"a.example:443", "10.0.0.0/8:80"}, "a.example", "10.0.0.1", 443, "is private"},
    {{"a.example:443", "0.0.0.0/0:443"}, "a.example", "10.0.0.1", 443, "is private"},
    {{"0.0.0.0/0:443"}, "", "8.8.8.8", 443, NULL},
    {{"0.0.0.0/0:443"}, "", "192.168.0.1", 443, "is private"},
    {{"::/0:443"}, "", "8.8.8.8", 443, NULL},
    {{"::/0:443"}, "", "fd00::1", 443, "is private"},
    {{"[fd00::]/8:443"}, "", "fd00::1", 443, NULL},
    {{"10.0.0.0/8:443"}, "", "64:ff9b::a00:1", 443, "is private"},
    {{"host.agentd:443", "a.example:443"}, "a.example", "127.0.0.1", 443, "the host's loopback"},
    {{"host.agentd:443"}, "", "127.0.0.1", 443, "the host's loopback"},
    {{"::/0:443", "0.0.0.0/0:443"}, "", "::1", 443, "the host's loopback"},
    {{"127.0.0.0/8:443"}, "", "127.0.0.1", 443, "the host's loopback"},
};

START_TEST(an_address_is_checked_by_rules_and_kind)
{
	for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
		struct net_rule items[3];
		struct net_rules rules = {items, 0};
		struct in6_addr address;
		char why[256] = "";
		bool may;

		while (rules.count < 3 && connections[i].rules[rules.count]) {
			ck_assert(net_rule_parse(connections[i].rules[rules.count],
						 &items[rules.count], why));
			rules.count++;
		}
		ck_assert_uint_gt(net_address(connections[i].address, &address), 0);
		may =
		    check_address(&rules, connections[i].name, &address, connections[i].port, why);
		ck_assert_msg(may == !connections[i].why, "%zu: %s", i, why);
		if (!may)
			ck_assert_msg(strstr(why, connections[i].why), "%zu: %s", i, why);
	}
}
END_TEST

START_TEST(name_servers_are_found_in_resolv_conf)
{
	static const struct {
		const char *conf, *list;
	} files[] = {
	    {"", ""},
	    {"# nameserver 1.1.1.1\nsearch a.example\n", ""},
	    {"nameserver 10.0.0.1", "10.0.0.1"},
	    {"search x\nnameserver\t10.0.0.1 # one\nnameserver 2001:db8::1\n",
	     "10.0.0.1,2001:db8::1"},
	    {"nameserver fe80::1%eth0\nnameserver [::1]\nnameservers 1.1.1.1\nnameserver x\n", ""},
	    {"nameserver 1.1.1.1\nnameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4\n",
	     "1.1.1.1,1.1.1.2,1.1.1.3"},
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char list[256];

		resolver_list(files[i].conf, list, sizeof(list));
		ck_assert_str_eq(list, files[i].list);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    an_address_is_checked_by_rules_and_kind,
	    name_servers_are_found_in_resolv_conf,
	};

	return suite_run("dialer", tests, ARRAY_LEN(tests));
}
