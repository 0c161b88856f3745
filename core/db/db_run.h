/*
 * db_run.h - what a thread does with one request on one connection, whatever lane it came by.
 */
#ifndef DB_RUN_H
#define DB_RUN_H

#include "db/db.h"

/* Runs the steps one after the other; 0, or -1 at the first that fails or changes another number of
 * rows than expected. Earlier results of the request are dropped first. Undoes nothing. */
int db_run_steps(struct db_req *r, struct db_conn *c);

/* As db_run_steps, behind a savepoint: a failure undoes the steps. Needs an open transaction. */
int db_run_saved(struct db_req *r, struct db_conn *c);

/* The text of step 1, many statements. */
int db_run_script(struct db_req *r, struct db_conn *c);

/* Counts and times the request that has just got its answer. */
void db_run_count(const struct db_req *r, int is_read);

#endif
