/*
 * sheet_load.c - see sheet_load.h. Start at sheet_load_step.
 */
#include "sheet/sheet_load.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/typed.h"

#define SQL_MAX_BYTES (4u << 20)
#define NAME_MAX_BYTES 1024
#define ROWS_PER_TICK 1024

struct sheet_loader {
    const struct sheet_load *what;
    struct sheet_loaded *out;
    struct sheet *sheet;
    struct buf names;     /* columns of the table, each ended by a NUL */
    size_t n_names;
    int *param;           /* by column of the file: number of the bound value, 0 = not wanted */
    uint32_t n_param;
    int n_fixed;          /* bound values before the columns: file, row */
    struct buf insert;    /* SQL */
    sqlite3_stmt *st;     /* of it, within a step */
    sqlite3 *db;          /* within a step */
    int is_begun;
};

static int db_fail(sqlite3 *db, const char *what, struct err *e)
{
    enum err_code code;

    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_NOMEM: code = ERR_NOMEM; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = ERR_BUSY; break;
    case SQLITE_FULL: code = ERR_FULL; break;
    case SQLITE_CONSTRAINT: code = ERR_EXISTS; break;
    case SQLITE_INTERRUPT: code = ERR_CANCELLED; break;
    case SQLITE_TOOBIG: code = ERR_LIMIT; break;
    case SQLITE_ERROR: code = ERR_INVALID; break;
    default: code = ERR_IO;
    }
    return err_set(e, code, "%s: %s", what, sqlite3_errmsg(db));
}

static int run_sql(sqlite3 *db, const char *sql, struct err *e)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, sql, e);
}

/* Adds a name in the quotes of SQL. */
static int add_quoted(struct buf *b, const char *name, struct err *e)
{
    int rc = buf_addc(b, '"', e);

    for (; rc == 0 && *name != '\0'; name++)
        rc = *name == '"' ? buf_adds(b, "\"\"", e) : buf_addc(b, *name, e);
    return rc != 0 ? -1 : buf_addc(b, '"', e);
}

/* Header text of a cell, for comparing; empty for what is no text. -1 without memory. */
static int fold_header(struct buf *to, const struct sheet_cell *c, struct err *e)
{
    char *p;

    buf_clear(to);
    if (c->text == NULL || c->n_bytes > NAME_MAX_BYTES)
        return 0;
    p = buf_room(to, c->n_bytes, e);
    if (p == NULL)
        return -1;
    to->len = typed_fold(p, c->text, c->n_bytes);
    return 0;
}

static int is_same(const struct buf *folded, const char *header)
{
    char other[NAME_MAX_BYTES];
    size_t n = strlen(header);

    return n <= sizeof other && typed_fold(other, header, n) == folded->len &&
           memcmp(other, folded->data, folded->len) == 0;
}

/* The column asked for that goes by this header: its place + 1, or 0. */
static size_t find_column(const struct sheet_load *what, const struct buf *folded)
{
    for (size_t i = 0; folded->len > 0 && i < what->n_columns; i++) {
        const struct sheet_column *c = &what->columns[i];
        if (c->headers == NULL && is_same(folded, c->name))
            return i + 1;
        for (size_t k = 0; c->headers != NULL && c->headers[k] != NULL; k++)
            if (is_same(folded, c->headers[k]))
                return i + 1;
    }
    return 0;
}

static int trouble(struct sheet_loader *l, enum sheet_fault fault, const char *name, struct err *e)
{
    l->out->trouble.fault = fault;
    return buf_add(&l->out->trouble.names, name, strlen(name) + 1, e);
}

/* Columns by the list of the caller. */
static int map_asked(struct sheet_loader *l, const struct sheet_row *header, struct err *e)
{
    const struct sheet_load *w = l->what;
    uint8_t *is_found = mem_zero(w->n_columns, 1);
    struct buf folded, missing;
    int rc = -1;

    buf_init(&folded, NAME_MAX_BYTES);
    buf_init(&missing, 256);
    if (is_found == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto done;
    }
    for (uint32_t i = 0; i < header->n_cells; i++) {
        if (fold_header(&folded, &header->cells[i], e) != 0)
            goto done;
        size_t at = find_column(w, &folded);
        if (at == 0)
            continue;
        if (is_found[at - 1]) {
            if (trouble(l, SHEET_DUPLICATE, w->columns[at - 1].name, e) == 0)
                err_set(e, ERR_INVALID, "row %lld: two columns for %s (%.*s)",
                        (long long)header->number, w->columns[at - 1].name,
                        (int)header->cells[i].n_bytes, header->cells[i].text);
            goto done;
        }
        is_found[at - 1] = 1;
        l->param[header->cells[i].column] = l->n_fixed + (int)at;
    }
    for (size_t i = 0; i < w->n_columns; i++) {
        const struct sheet_column *c = &w->columns[i];
        if (buf_add(&l->names, c->name, strlen(c->name) + 1, e) != 0)
            goto done;
        if (!c->is_required || is_found[i])
            continue;
        if (trouble(l, SHEET_MISSING, c->name, e) != 0)
            goto done;
        buf_addf(&missing, NULL, "%s%s", missing.len > 0 ? ", " : "", /* the message may be cut */
                 c->headers != NULL && c->headers[0] != NULL ? c->headers[0] : c->name);
    }
    l->n_names = w->n_columns;
    if (l->out->trouble.fault == SHEET_MISSING) {
        const char *text = buf_text(&missing, NULL);
        err_set(e, ERR_INVALID, "row %lld is no header with all the columns; missing: %s",
                (long long)header->number, text != NULL ? text : "");
        goto done;
    }
    rc = 0;
done:
    buf_deinit(&folded);
    buf_deinit(&missing);
    mem_free(is_found);
    return rc;
}

/* True when the name is taken; SQLite does not tell ASCII case apart. */
static int is_taken(const struct sheet_loader *l, const char *name)
{
    const char *p = l->names.data, *end = p + l->names.len;

    for (; p < end; p += strlen(p) + 1)
        if (sqlite3_stricmp(p, name) == 0)
            return 1;
    return (l->what->file_column != NULL && sqlite3_stricmp(l->what->file_column, name) == 0) ||
           sqlite3_stricmp(l->what->row_column != NULL ? l->what->row_column : "row", name) == 0;
}

/* Every column of the file that has a header. */
static int map_all(struct sheet_loader *l, const struct sheet_row *header, struct err *e)
{
    struct buf name;
    int rc = -1;

    buf_init(&name, NAME_MAX_BYTES + 16);
    for (uint32_t i = 0; i < header->n_cells; i++) {
        const struct sheet_cell *c = &header->cells[i];
        char number[TYPED_FLOAT_MAX];
        size_t n_number = c->text == NULL ? typed_of_float(number, c->number) : 0, n;
        const char *p = c->text == NULL ? number : c->text;
        size_t n_bytes = c->text == NULL ? n_number : c->n_bytes;
        if (n_bytes > NAME_MAX_BYTES || typed_is_blank(p, n_bytes))
            continue;
        if (l->n_names == SHEET_LOAD_COLUMNS_MAX) {
            err_set(e, ERR_LIMIT, "more than %d columns", SHEET_LOAD_COLUMNS_MAX);
            goto done;
        }
        buf_clear(&name);
        char *to = buf_room(&name, n_bytes, e);
        if (to == NULL)
            goto done;
        n = name.len = typed_clean(to, p, n_bytes);
        if (buf_text(&name, e) == NULL)
            goto done;
        for (int k = 2; is_taken(l, name.data); k++) {
            name.len = n;
            if (buf_addf(&name, e, "_%d", k) != 0 || buf_text(&name, e) == NULL)
                goto done;
        }
        if (buf_add(&l->names, name.data, name.len + 1, e) != 0)
            goto done;
        l->param[c->column] = l->n_fixed + (int)++l->n_names;
    }
    rc = 0;
done:
    buf_deinit(&name);
    return rc;
}

/* CREATE TABLE, and the text of INSERT. */
static int make_table(struct sheet_loader *l, struct err *e)
{
    const struct sheet_load *w = l->what;
    const char *row = w->row_column != NULL ? w->row_column : "row", *name = l->names.data;
    struct buf table, list, sql;
    int rc = -1;

    buf_init(&table, SQL_MAX_BYTES);
    buf_init(&list, SQL_MAX_BYTES);
    buf_init(&sql, SQL_MAX_BYTES);
    if (add_quoted(&table, w->schema != NULL ? w->schema : "main", e) != 0 ||
        buf_addc(&table, '.', e) != 0 || add_quoted(&table, w->table, e) != 0 ||
        buf_text(&table, e) == NULL)
        goto done;
    if (w->file_column != NULL &&
        (add_quoted(&list, w->file_column, e) != 0 || buf_addc(&list, ',', e) != 0))
        goto done;
    if (add_quoted(&list, row, e) != 0)
        goto done;
    for (size_t i = 0; i < l->n_names; i++, name += strlen(name) + 1)
        if (buf_addc(&list, ',', e) != 0 || add_quoted(&list, name, e) != 0)
            goto done;
    if (buf_text(&list, e) == NULL ||
        buf_addf(&sql, e, "CREATE TABLE IF NOT EXISTS %s(%s)", table.data, list.data) != 0 ||
        buf_text(&sql, e) == NULL || run_sql(l->db, sql.data, e) != 0 ||
        buf_addf(&l->insert, e, "INSERT INTO %s(%s) VALUES(?", table.data, list.data) != 0)
        goto done;
    for (size_t i = 1; i < l->n_names + (size_t)l->n_fixed; i++)
        if (buf_adds(&l->insert, ",?", e) != 0)
            goto done;
    if (buf_addc(&l->insert, ')', e) == 0 && buf_text(&l->insert, e) != NULL)
        rc = 0;
done:
    buf_deinit(&table);
    buf_deinit(&list);
    buf_deinit(&sql);
    return rc;
}

static int bind_cell(sqlite3_stmt *st, int at, const struct sheet_cell *c)
{
    if (c->kind != SHEET_NUMBER)
        return sqlite3_bind_text(st, at, c->text, (int)c->n_bytes, SQLITE_STATIC);
    if (c->number == floor(c->number) && fabs(c->number) < 9.2e18)
        return sqlite3_bind_int64(st, at, (int64_t)c->number);
    return sqlite3_bind_double(st, at, c->number);
}

static int store_row(struct sheet_loader *l, const struct sheet_row *row, struct err *e)
{
    const struct sheet_load *w = l->what;
    int rc = SQLITE_OK, at = 1;

    if (w->file_column != NULL)
        rc = sqlite3_bind_int64(l->st, at++, w->file_id);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(l->st, at, row->number);
    for (uint32_t i = 0; rc == SQLITE_OK && i < row->n_cells; i++) {
        const struct sheet_cell *c = &row->cells[i];
        if (c->column >= l->n_param)
            break;
        if (l->param[c->column] > 0) {
            rc = bind_cell(l->st, l->param[c->column], c);
            l->out->n_cells++;
        }
    }
    if (rc == SQLITE_OK)
        sqlite3_step(l->st);
    rc = sqlite3_reset(l->st);
    sqlite3_clear_bindings(l->st);
    if (rc != SQLITE_OK) {
        db_fail(l->db, w->table, e);
        return err_wrap(e, "row %lld", (long long)row->number);
    }
    l->out->n_rows++;
    return 0;
}

/* 1 when there may be more. */
static int load_rows(struct sheet_loader *l, int64_t max_rows, struct err *e)
{
    const struct sheet_load *w = l->what;
    struct sheet_row row;
    int rc = 1;

    for (int64_t i = 0; i < max_rows; i++) {
        rc = sheet_next_row(l->sheet, &row, &l->out->trouble, e);
        if (rc != 1)
            break;
        if (store_row(l, &row, e) != 0)
            return -1;
        if (w->tick != NULL && l->out->n_rows % ROWS_PER_TICK == 0 &&
            w->tick(w->tick_arg, l->out->n_rows, sheet_done(l->sheet)) != 0)
            return err_set(e, ERR_CANCELLED, "stopped at row %lld", (long long)row.number);
    }
    if (rc == 0 && l->out->n_rows == 0) {
        l->out->trouble.fault = SHEET_EMPTY;
        return err_set(e, ERR_INVALID, "no row of data below the header");
    }
    return rc;
}

/*
 * All headers of all columns, for the separator of a csv. Freed by the caller; NULL without memory.
 */
static const char **known_headers(const struct sheet_load *w)
{
    size_t n = 1, at = 0;
    const char **known;

    for (size_t i = 0; i < w->n_columns; i++) {
        n++;
        for (size_t k = 0; w->columns[i].headers != NULL && w->columns[i].headers[k] != NULL; k++)
            n++;
    }
    known = mem_zero(n, sizeof *known);
    for (size_t i = 0; known != NULL && i < w->n_columns; i++) {
        if (w->columns[i].headers == NULL)
            known[at++] = w->columns[i].name;
        for (size_t k = 0; w->columns[i].headers != NULL && w->columns[i].headers[k] != NULL; k++)
            known[at++] = w->columns[i].headers[k];
    }
    return known;
}

static int open_sheet(struct sheet_loader *l, struct err *e)
{
    const struct sheet_load *w = l->what;
    const char **known = known_headers(w);
    struct sheet_options o = { w->sheet, w->n_columns > 0 ? known : NULL, w->temp_dir };
    int rc = known == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                           : sheet_open(&l->sheet, w->path, &o, &l->out->trouble, e);

    mem_free(known);
    return rc;
}

/* File, header, table. */
static int begin(struct sheet_loader *l, struct err *e)
{
    struct sheet_row header;
    struct sheet_info info;
    int rc;

    if (open_sheet(l, e) != 0)
        return -1;
    sheet_get_info(l->sheet, &info);
    l->out->is_1904 = info.is_1904;
    rc = sheet_next_row(l->sheet, &header, &l->out->trouble, e);
    if (rc < 0)
        return -1;
    if (rc == 0) {
        l->out->trouble.fault = SHEET_EMPTY;
        return err_set(e, ERR_INVALID, "the file is empty");
    }
    l->out->header_row = header.number;
    l->n_fixed = l->what->file_column != NULL ? 2 : 1;
    l->n_param = header.cells[header.n_cells - 1].column + 1;
    l->param = mem_zero(l->n_param, sizeof *l->param);
    if (l->param == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    rc = l->what->n_columns > 0 ? map_asked(l, &header, e) : map_all(l, &header, e);
    return rc != 0 ? -1 : make_table(l, e);
}

int sheet_load_open(struct sheet_loader **l, const struct sheet_load *what,
                    struct sheet_loaded *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    sheet_trouble_init(&out->trouble);
    *l = mem_zero(1, sizeof **l);
    if (*l == NULL) {
        out->trouble.fault = SHEET_SYSTEM;
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    (*l)->what = what;
    (*l)->out = out;
    buf_init(&(*l)->names, SQL_MAX_BYTES / 4);
    buf_init(&(*l)->insert, SQL_MAX_BYTES);
    return 0;
}

int sheet_load_step(struct sheet_loader *l, sqlite3 *db, int64_t max_rows, struct err *e)
{
    int rc = 0;

    l->db = db;
    if (!l->is_begun) {
        l->is_begun = 1;
        rc = begin(l, e);
    }
    if (rc == 0 && sqlite3_prepare_v2(db, l->insert.data, (int)l->insert.len, &l->st, NULL) !=
                       SQLITE_OK)
        rc = db_fail(db, l->what->table, e);
    if (rc == 0)
        rc = load_rows(l, max_rows, e);
    sqlite3_finalize(l->st);
    l->st = NULL;
    if (rc < 0 && l->out->trouble.fault == SHEET_FINE)
        l->out->trouble.fault = SHEET_SYSTEM;
    return rc;
}

double sheet_load_done(const struct sheet_loader *l)
{
    return l->sheet == NULL ? 0 : sheet_done(l->sheet);
}

void sheet_load_close(struct sheet_loader *l)
{
    if (l == NULL)
        return;
    sheet_close(l->sheet);
    buf_deinit(&l->names);
    buf_deinit(&l->insert);
    mem_free(l->param);
    mem_free(l);
}

int sheet_load(const struct sheet_load *what, sqlite3 *db, struct sheet_loaded *out, struct err *e)
{
    struct sheet_loader *l = NULL;
    int is_ours = sqlite3_get_autocommit(db), rc = sheet_load_open(&l, what, out, e);

    if (rc == 0)
        rc = run_sql(db, is_ours ? "BEGIN IMMEDIATE" : "SAVEPOINT sheet_load", e);
    if (rc == 0) {
        rc = sheet_load_step(l, db, INT64_MAX, e);
        if (rc == 0)
            rc = run_sql(db, is_ours ? "COMMIT" : "RELEASE sheet_load", e);
        if (rc != 0 && !sqlite3_get_autocommit(db))
            sqlite3_exec(db, is_ours ? "ROLLBACK" : "ROLLBACK TO sheet_load; RELEASE sheet_load",
                         NULL, NULL, NULL);
    }
    if (rc != 0) {
        out->n_rows = out->n_cells = 0;
        if (out->trouble.fault == SHEET_FINE)
            out->trouble.fault = SHEET_SYSTEM;
    }
    sheet_load_close(l);
    return rc;
}

void sheet_loaded_deinit(struct sheet_loaded *out)
{
    sheet_trouble_deinit(&out->trouble);
}
