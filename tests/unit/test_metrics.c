// with: agentd/control/control.c agentd/control/clients.c agentd/control/requests.c
// with: agentd/control/handlers.c agentd/control/run.c agentd/control/install.c
// with: agentd/control/events.c agentd/control/event_data.c
// with: agentd/control/tools.c agentd/control/metrics.c agentd/control/scrape.c
/* The text of metrics, and what is looked at of a request for it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentd/control/scrape.h"
#include "common/cleanup.h"
#include "common/metrics.h"
#include "tests/unit/suite.h"

static char *
text_of(struct rows *rows, enum metrics_format format)
{
	struct error error = ERROR_INIT;
	_cleanup_close_ int fd = rows_seal(rows);
	size_t length;

	return metrics_text(fd, format, &length, &error);
}

START_TEST(formats)
{
	_cleanup_free_ char *plain = NULL, *open = NULL;
	struct rows *rows = rows_new("metrics"), *again = rows_new("metrics");

	metric_add(rows, METRIC_SENT, "", "", 7);
	metric_add(again, METRIC_SENT, "", "", 7);
	plain = text_of(rows, METRICS_PROMETHEUS);
	open = text_of(again, METRICS_OPENMETRICS);
	ck_assert_str_eq(plain,
			 "# HELP scarab_network_sent_bytes_total What sessions sent through their "
			 "networks.\n"
			 "# TYPE scarab_network_sent_bytes_total counter\n"
			 "# UNIT scarab_network_sent_bytes_total bytes\n"
			 "scarab_network_sent_bytes_total 7\n# EOF\n");
	ck_assert_str_eq(open, "# HELP scarab_network_sent_bytes What sessions sent through their "
			       "networks.\n"
			       "# TYPE scarab_network_sent_bytes counter\n"
			       "# UNIT scarab_network_sent_bytes bytes\n"
			       "scarab_network_sent_bytes_total 7\n# EOF\n");
}
END_TEST

/* Families come whole and in order, whoever told them when; labels are escaped. */
START_TEST(order_and_labels)
{
	struct rows *rows = rows_new("metrics");
	_cleanup_free_ char *text = NULL;

	metric_add(rows, METRIC_SESSIONS, "b", "success", 2);
	metric_add(rows, METRIC_QUEUED, "", "", 1);
	metric_add(rows, METRIC_SESSIONS, "a\"\\\n", "failed", 3);
	text = text_of(rows, METRICS_PROMETHEUS);
	ck_assert_ptr_nonnull(strstr(
	    text, "scarab_sessions_total{agent=\"b\",outcome=\"success\"} 2\n"
		  "scarab_sessions_total{agent=\"a\\\"\\\\\\n\",outcome=\"failed\"} 3\n# HELP "
		  "scarab_queue_length"));
}
END_TEST

START_TEST(histograms)
{
	struct rows *rows = rows_new("metrics");
	struct histogram histogram = {.sum_us = 0};
	_cleanup_free_ char *text = NULL;

	histogram_note(&histogram, 100);
	histogram_note(&histogram, 101);
	histogram_note(&histogram, UINT64_C(400000000));
	metric_add_histogram(rows, METRIC_LATENESS, "", &histogram);
	text = text_of(rows, METRICS_OPENMETRICS);
	ck_assert_ptr_nonnull(strstr(text, "_bucket{le=\"0.0001\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "_bucket{le=\"0.00025\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "_bucket{le=\"300.0\"} 2\n"));
	ck_assert_ptr_nonnull(strstr(text, "_bucket{le=\"+Inf\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text, "_sum 400.000201\n"));
	ck_assert_ptr_nonnull(strstr(text, "_count 3\n"));
}
END_TEST

/* A daemon that lies makes no broken text: what is no whole histogram is left out. */
START_TEST(lies)
{
	struct rows *rows = rows_new("metrics");
	_cleanup_free_ char *text = NULL;
	struct msg row;

	metric_add(rows, METRIC_LATENESS, "", "", 4);
	msg_init(&row, MSG_METRIC);
	row.metric.metric = METRIC_LATENESS;
	row.metric.bucket = 0;
	rows_add(rows, &row);
	row.metric.metric = METRIC_QUEUED;
	rows_add(rows, &row);
	row.metric.metric = METRIC_COUNT;
	row.metric.bucket = METRIC_PLAIN;
	rows_add(rows, &row);
	text = text_of(rows, METRICS_PROMETHEUS);
	ck_assert_str_eq(text, "# EOF\n");
}
END_TEST

START_TEST(requests)
{
	static const struct {
		const char *head;
		unsigned status;
		bool openmetrics;
	} cases[] = {
	    {"GET /metrics HTTP/1.0\r\n\r\n", 200, false},
	    {"GET /metrics?name=x HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
	    {"GET /metrics HTTP/1.1\r\naccept: Application/OpenMetrics-Text\r\n\r\n", 200, true},
	    {"GET /metricsapplication/openmetrics-text HTTP/1.1\r\n\r\n", 404, false},
	    {"GET /metrics\r\n\r\n", 400, false},
	    {"GET /metrics FTP/1.0\r\n\r\n", 400, false},
	    {"GET / HTTP/1.0\r\n\r\n", 404, false},
	    {"POST /metrics HTTP/1.0\r\n\r\n", 405, false},
	    {"GET", 400, false},
	    {"\r\n\r\n", 400, false},
	    {"", 400, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool openmetrics;

		ck_assert_msg(scrape_request(cases[i].head, &openmetrics) == cases[i].status, "%s",
			      cases[i].head);
		ck_assert_msg(openmetrics == cases[i].openmetrics, "%s", cases[i].head);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {formats, order_and_labels, histograms, lies, requests};

	return suite_run("metrics", tests, ARRAY_LEN(tests));
}
