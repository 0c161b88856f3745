/*
 * bind_db.h - core.db, in four files: bind_db.c (databases, statements), bind_db_hold.c
 * (transactions, iterators, backups), bind_db_matrix.c (rows into a tensor), bind_db_value.c (values
 * between Lua and the database).
 *
 * Values: nil cannot be in a table, so NULL is db.null (= json.null, a light userdata) as an
 * argument and an absent key in a row. Whole numbers are exact in 64 bits; true and false are 1 and
 * 0; a number that is not finite and text that is not UTF-8 are refused; bytes go as db.blob(s) and
 * come back as strings.
 */
#ifndef BIND_BIND_DB_H
#define BIND_BIND_DB_H

#include <lua.h>

#include "db/db.h"

struct host;
struct run;

#define BIND_DB_TYPE "core.db"

/* What a database is to a script. */
struct db_box {
    struct db *db; /* NULL when closed */
    int is_main;   /* belongs to the process, not to the box */
    uint64_t tx;   /* the transaction a run has open here; its requests go there by themselves */
    struct run *tx_run;
};

/*
 * Opens the main database of this process, before the loop runs; scripts get it by core.db.main().
 * It is closed with the host.
 */
int bind_db_main(struct host *h, const char *path, const struct db_opt *opt, struct err *e);

/* Argument 1, open; raises otherwise. */
struct db_box *bind_db_check(lua_State *L);

/* The transaction the calling run has open, or 0. */
uint64_t bind_db_tx(lua_State *L, const struct db_box *b);

/* Arguments of a statement out of the table (or nothing) at `index`. Raises on misuse; pushes one
 * value, which keeps the array; texts are borrowed from the table. */
void bind_db_args(lua_State *L, int index, struct db_args *args);

/* 0, or 2 or 3 values pushed: nil, message, code of an argument the database cannot hold. */
int bind_db_bad(lua_State *L, const struct db_args *args);

/* Push: an array of rows; row i; a cell. */
void bind_db_rows(lua_State *L, const struct db_rows *rows);
void bind_db_row(lua_State *L, const struct db_rows *rows, size_t i);
void bind_db_cell(lua_State *L, const struct db_value *v);

/* Class and function of blobs. */
void bind_db_blob_class(lua_State *L);
int bind_db_blob(lua_State *L);

/* table -- table: add the functions of bind_db_hold.c, with their classes; of bind_db_matrix.c. */
void bind_db_hold_open(lua_State *L);
void bind_db_matrix_open(lua_State *L);

#endif
