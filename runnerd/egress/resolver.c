/* The agent's questions: names of rules have addresses inside, all others do not exist. No question
 * leaves the session. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "dns.h"
#include "egress.h"

enum { QUESTION_MAX = 1500, QUESTIONS_A_ROUND = 32 };

static bool
is_bounded(const struct egress *egress, const char *name)
{
	if (injects_host(&egress->injects, name))
		return false;
	for (size_t i = 0; i < egress->rules.count; i++) {
		const struct net_rule *rule = &egress->rules.items[i];

		if (rule->kind != NET_BELOW && net_rule_allows_name(rule, name, rule->low))
			return false;
	}
	return true;
}

/* The address that stands for it. has: there is one of the kind that was asked for. */
static enum dns_rcode
address_of(struct egress *egress, const struct dns_query *query, struct in6_addr *address,
	   bool *has)
{
	bool v6 = query->wants == DNS_WANTS_AAAA;
	int number = names_number(egress->names, query->name, is_bounded(egress, query->name),
				  boottime_ns());

	if (number < 0) {
		note(egress, query->name, 0, "too many new names are asked for");
		return DNS_REFUSED;
	}
	*has = !v6 || egress->v6;
	names_address(number, v6, address);
	return DNS_NOERROR;
}

static enum dns_rcode
decide(struct egress *egress, const struct dns_query *query, struct in6_addr *address, bool *has)
{
	if (!query->name[0] || (!net_rules_know_name(&egress->rules, query->name) &&
				!injects_host(&egress->injects, query->name))) {
		note(egress, query->name, 0, "no rule names it");
		return DNS_NXDOMAIN;
	}
	switch (query->wants) {
	case DNS_WANTS_A:
	case DNS_WANTS_AAAA:
		return address_of(egress, query, address, has);
	case DNS_WANTS_NOTHING:
		return DNS_NOERROR;
	default:
		return DNS_REFUSED;
	}
}

static void
answer(struct egress *egress, const uint8_t *message, size_t length,
       const struct sockaddr_in *asker)
{
	uint8_t out[DNS_ANSWER_MAX];
	struct dns_query query;
	struct in6_addr address;
	bool has = false;
	int rcode = dns_parse(message, length, &query);

	if (rcode < 0)
		return;
	if (rcode == DNS_NOERROR)
		rcode = (int)decide(egress, &query, &address, &has);
	length = dns_answer(message, &query, (enum dns_rcode)rcode, has ? &address : NULL, out);
	/* An asker that does not read loses the answer. */
	sendto(egress->resolver, out, length, MSG_DONTWAIT | MSG_NOSIGNAL,
	       (const struct sockaddr *)asker, sizeof(*asker));
}

static void
asked(struct loop_source *source, uint32_t events, void *arg)
{
	struct egress *egress = arg;
	struct sockaddr_in asker;
	uint8_t message[QUESTION_MAX];

	(void)source;
	(void)events;
	for (int i = 0; i < QUESTIONS_A_ROUND; i++) {
		socklen_t size = sizeof(asker);
		ssize_t n = recvfrom(egress->resolver, message, sizeof(message), MSG_DONTWAIT,
				     (struct sockaddr *)&asker, &size);

		if (n < 0)
			return;
		answer(egress, message, (size_t)n, &asker);
	}
}

int
resolver_open(struct egress *egress, struct error *error)
{
	egress->resolver_source =
	    loop_add_io(egress->loop, egress->resolver, EPOLLIN, asked, egress);
	return egress->resolver_source ? 0 : error_errno(error, errno, "the resolver");
}
