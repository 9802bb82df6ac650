/* Short forms for rows of a record's table; each needs STRUCT to name the record's type. */
#ifndef SCARAB_FIELD_H
#define SCARAB_FIELD_H

#include "record.h"

#define AT(form, number, name, member)                                                             \
	.key = (name), .type = FIELD_##form, .tag = (number), .offset = offsetof(STRUCT, member)
/* Numbers whose absence is kept. */
#define OPEN(form, number, name, member, low, high)                                                \
	{                                                                                          \
		AT(form, number, name, member), .min = (low), .max = (high), .fallback = ABSENT    \
	}
#define TEXT(number, name, member, bytes, how)                                                     \
	{                                                                                          \
		AT(TEXT, number, name, member), .max = (bytes), .check = (how)                     \
	}
#define TEXT_REQUIRED(number, name, member, bytes, how)                                            \
	{                                                                                          \
		AT(TEXT, number, name, member), .max = (bytes), .check = (how), .required = true   \
	}
#define TEXTS(number, name, member, entries, bytes, how)                                           \
	{                                                                                          \
		AT(TEXTS, number, name, member), .max = (entries), .entry_max = (bytes),           \
						 .check = (how)                                    \
	}
#define PAIRS(number, name, member, entries, how_key, bytes, how)                                  \
	{                                                                                          \
		AT(PAIRS, number, name, member), .max = (entries), .entry_max = (bytes),           \
						 .check_key = (how_key), .check = (how)            \
	}
#define ENUM(number, name, member, words)                                                          \
	{                                                                                          \
		AT(ENUM, number, name, member), .choices = (words)                                 \
	}
#define LIST(number, name, member, entries, of)                                                    \
	{                                                                                          \
		AT(LIST, number, name, member), .max = (entries), .record = &(of)                  \
	}
/* A mapping whose members lie in the same struct. */
#define GROUP(number, name, of)                                                                    \
	{                                                                                          \
		.key = (name), .type = FIELD_GROUP, .tag = (number), .record = &(of)               \
	}
#define RECORD(table)                                                                              \
	.fields = (table), .count = sizeof(table) / sizeof((table)[0]), .size = sizeof(STRUCT)

#define MS(seconds) (UINT64_C(1000) * (seconds))
#define HOURS(n) (MS(3600) * (n))
#define DAYS(n) (HOURS(24) * (n))
#define KIB(n) (UINT64_C(1024) * (n))
#define MIB(n) (KIB(1024) * (n))
#define GIB(n) (MIB(1024) * (n))
#define TIB(n) (GIB(1024) * (n))

#endif
