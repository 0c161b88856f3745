/*
 * db_matrix.c - a query into one block of numbers; see the header.
 */
#include "db/db_matrix.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

#define PART_BYTES (1u << 20)

/* The rows come into parts of about 1 MiB, which then move into one block. */
struct part {
    struct part *next;
    size_t n_rows;
    _Alignas(8) char data[];
};

static int not_a_number(struct db_stmt *s, int col, size_t row, struct err *e)
{
    const char *name = sqlite3_column_name(s->st, col);

    if (sqlite3_column_type(s->st, col) == SQLITE_BLOB)
        return err_set(e, ERR_INVALID, "row %zu: %s is a blob, a number was expected", row,
                       name ? name : "a column");
    return err_set(e, ERR_INVALID, "row %zu: %s \"%.40s\" is not a number", row,
                   name ? name : "a column", (const char *)sqlite3_column_text(s->st, col));
}

static int read_row(struct db_matrix *m, struct db_stmt *s, char *to, size_t row, struct err *e)
{
    for (int i = 0; i < (int)m->n_cols; i++) {
        int type = sqlite3_column_type(s->st, i);
        double v = NAN;

        if (type == SQLITE_TEXT || type == SQLITE_BLOB)
            return not_a_number(s, i, row, e);
        if (type != SQLITE_NULL)
            v = sqlite3_column_double(s->st, i);
        if (!m->is_f32) {
            memcpy(to + (size_t)i * sizeof v, &v, sizeof v);
            continue;
        }
        if (fabs(v) > (double)FLT_MAX)
            return err_set(e, ERR_NAN, "row %zu: %s %g is too large for f32", row,
                           sqlite3_column_name(s->st, i), v);
        float f = (float)v;
        memcpy(to + (size_t)i * sizeof f, &f, sizeof f);
    }
    return 0;
}

static void parts_free(struct part *p)
{
    while (p != NULL) {
        struct part *next = p->next;
        mem_free(p);
        p = next;
    }
}

static int gather(struct db_matrix *m, struct part *first, size_t row_bytes, struct err *e)
{
    char *to;

    if (m->place != NULL) {
        to = m->place(m, e);
        if (to == NULL)
            return -1;
    } else {
        if (m->n_rows == 0 || m->n_cols == 0)
            return 0;
        m->data = to = mem_aligned(m->n_rows * row_bytes);
        if (to == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %zu rows of %zu numbers", m->n_rows,
                           m->n_cols);
    }
    for (struct part *p = first; p != NULL; p = p->next) {
        memcpy(to, p->data, p->n_rows * row_bytes);
        to += p->n_rows * row_bytes;
    }
    return 0;
}

static int fill(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct db_matrix *m = (struct db_matrix *)req;
    struct db_step *step = req->steps;
    struct db_stmt *s = db_stmt_take(c, step->sql, step->bytes, e);
    struct part *first = NULL, *last = NULL;
    size_t row_bytes, per_part;
    int rc;

    if (s == NULL)
        return -1;
    m->n_rows = 0;
    m->n_cols = (size_t)sqlite3_column_count(s->st);
    row_bytes = m->n_cols * (m->is_f32 ? sizeof(float) : sizeof(double));
    per_part = row_bytes > 0 && row_bytes < PART_BYTES ? PART_BYTES / row_bytes : 1;
    rc = s->kind == DB_READS || s->kind == DB_CHEAP
             ? db_stmt_bind(c, s, &step->args, e)
             : err_set(e, ERR_INVALID, "a matrix is made by a statement that only reads");
    if (rc == 0)
        rc = db_stmt_columns(s, &step->rows, e);
    while (rc == 0 && (rc = db_stmt_step(c, s, e)) == 1) {
        if (m->max_bytes > 0 && (m->n_rows + 1) * row_bytes > m->max_bytes) {
            rc = err_set(e, ERR_LIMIT, "the matrix is larger than %zu bytes", m->max_bytes);
            break;
        }
        if (last == NULL || last->n_rows == per_part) {
            struct part *p = mem_alloc(sizeof *p + per_part * row_bytes);
            if (p == NULL) {
                rc = err_set(e, ERR_NOMEM, "no memory for row %zu", m->n_rows + 1);
                break;
            }
            p->next = NULL;
            p->n_rows = 0;
            if (last != NULL)
                last->next = p;
            else
                first = p;
            last = p;
        }
        m->n_rows++;
        rc = read_row(m, s, last->data + last->n_rows++ * row_bytes, m->n_rows, e);
    }
    db_stmt_give(c, s);
    if (rc == 0)
        rc = gather(m, first, row_bytes, e);
    parts_free(first);
    return rc;
}

int db_matrix_init(struct db_matrix *m, uint64_t tx, const char *sql, size_t bytes,
                   const struct db_args *args, int is_f32, size_t max_bytes,
                   void (*done)(struct db_req *), struct err *e)
{
    memset(m, 0, sizeof *m);
    db_req_init(&m->req, DB_CALL, done);
    m->req.tx = tx;
    m->req.call = fill;
    m->is_f32 = is_f32;
    m->max_bytes = max_bytes;
    if (db_req_add(&m->req, sql, bytes, args, -1, e) == 0)
        return 0;
    db_matrix_deinit(m);
    return -1;
}

void db_matrix_deinit(struct db_matrix *m)
{
    db_req_deinit(&m->req);
    mem_free(m->data);
    m->data = NULL;
}
