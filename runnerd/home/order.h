/* What runnerd asks of a homekeeper in HOME_JOB; commit.h says what each does. */
#ifndef SCARAB_HOME_ORDER_H
#define SCARAB_HOME_ORDER_H

enum home_order {
	HOME_ORDER_COMMIT,
	HOME_ORDER_DISCARD,
	HOME_ORDER_SETTLE,
	HOME_ORDER_ROLLBACK,
	HOME_ORDER_COUNT,
};

#endif
