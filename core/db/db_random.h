/*
 * db_random.h - SQL functions that draw random numbers without any state: the same arguments give
 * the same number, on every connection and in every order of rows, so made-up data stay the same.
 *
 *   chance(key, …)    a number in (0, 1), evenly spread; any change of any argument (whole number,
 *                     REAL, text) gives another one. A seed belongs among them
 *   poisson(mean, u)  the count whose distribution function first reaches u, a number in (0, 1):
 *                     poisson(2.5, chance(…)) is a draw. mean: 0 … 1e6
 *
 * NULL in gives NULL out; text where a number is needed, a mean or u outside is an error.
 */
#ifndef DB_RANDOM_H
#define DB_RANDOM_H

#include <sqlite3.h>

#include "base/err.h"

int db_random_add(sqlite3 *db, struct err *e);

#endif
