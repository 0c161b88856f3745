/*
 * db_func.h - SQL functions of ours, the same on every connection: cleaning of cells, dates, and
 * the aggregates that SQL lacks (db_agg.h), random numbers (db_random.h). No state, no side effect,
 * NULL in gives NULL out.
 *
 *   text_of(x)            as a cell shows it: whole numbers as digits, others as the shortest text
 *                         that reads back ("0.1", "1e-07")
 *   text_clean(x)         text_of, trimmed, inner runs of blanks to one space; NULL when blank
 *   text_squeeze(x)       text_of without any blank
 *   text_fold(x)          text_of, trimmed, without case (Latin, Greek, Cyrillic, Armenian)
 *   leading_digits(x)     the digits text_of begins with, '' when it begins with none
 *   number_of(x)          a number, or text as people type it: blanks dropped, decimal comma or
 *                         point, no exponent; NULL for anything else
 *   date_of(x [, system]) 'YYYY-MM-DD' of text (YYYY-MM-DD, D.M.YYYY, D/M/YYYY, a time may follow),
 *                         of a serial number 20000 … 80000, of Unix seconds from 1e8 on, numbers
 *                         also as text; NULL for anything else. system: 1904 when the file counts from 1904
 *   round_even(x)         to a whole number, halves to the even one
 *   round_even(a, b)      a / b rounded so, exact for whole numbers; NULL when b is 0
 *   interval_of(x, b, …)  the interval of rising bounds that has x, open left and closed right, as
 *                         text: interval_of(700, 0, 690, 9e999) is '(690.0, inf]'; NULL outside
 *
 * Blanks are those of Unicode. What "as people type it" means exactly: base/typed.h, base/day.h.
 */
#ifndef DB_FUNC_H
#define DB_FUNC_H

#include <sqlite3.h>

#include "base/err.h"

/* Registers all of them, aggregates too. Owner of the connection's thread. `nomem`. */
int db_func_add(sqlite3 *db, struct err *e);

#endif
