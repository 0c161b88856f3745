/*
 * parquet_write.c - see parquet_write.h.
 *
 * Source: the Parquet format, its parquet.thrift and Encodings.md; the compact protocol of Thrift.
 */
#include "sheet/parquet_write.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/day.h"
#include "base/mem.h"

#define GROUP_ROWS_MAX 100000
#define GROUP_BYTES_MAX (16u << 20)
#define VALUES_MAX (1u << 30)
#define FOOTER_MAX (256u << 20)
#define GZIP_LEVEL 4
#define GZIP_WINDOW (15 + 16) /* with the frame of gzip */

/* Types of the compact protocol. */
enum { T_I32 = 5, T_I64 = 6, T_TEXT = 8, T_LIST = 9, T_STRUCT = 12 };

/* Words of parquet.thrift. */
enum { INT32 = 1, INT64 = 2, DOUBLE = 5, BYTE_ARRAY = 6 };
enum { OPTIONAL = 1, UTF8 = 0, DATE = 6, PLAIN = 0, RLE = 3, GZIP = 2, DATA_PAGE = 0 };

static const struct {
    int physical, converted; /* converted: -1 for none */
} TYPES[] = {
    [PARQUET_TEXT] = { BYTE_ARRAY, UTF8 },
    [PARQUET_NUMBER] = { DOUBLE, -1 },
    [PARQUET_WHOLE] = { INT64, -1 },
    [PARQUET_DATE] = { INT32, DATE },
};

struct column {
    char *name;
    enum parquet_type type;
    int is_given;        /* the row at hand has a cell */
    int run_given;       /* runs of cells and gaps: how many of which */
    uint64_t run;
    struct buf levels, values;
};

struct parquet_write {
    char *path;
    int fd;
    struct column *columns;
    size_t n_columns;
    uint64_t n_rows, n_group_rows, n_groups, at; /* at: bytes written */
    struct buf groups;                           /* their directory so far */
    struct buf page, packed;
};

/* ---- thrift ---- */

static int put_varint(struct buf *b, uint64_t x, struct err *e)
{
    unsigned char bytes[10];
    size_t n = 0;

    for (; x >= 0x80; x >>= 7)
        bytes[n++] = (unsigned char)(x | 0x80);
    bytes[n++] = (unsigned char)x;
    return buf_add(b, bytes, n, e);
}

static int put_field(struct buf *b, int step, int type, struct err *e)
{
    return buf_addc(b, (char)(step << 4 | type), e);
}

/* `step`: how far the number of the field is from the one before. */
static int put_number(struct buf *b, int step, int type, uint64_t x, struct err *e)
{
    return put_field(b, step, type, e) != 0 || put_varint(b, x << 1, e) != 0 ? -1 : 0; /* zigzag */
}

static int put_text(struct buf *b, const char *text, struct err *e)
{
    size_t n = strlen(text);

    return put_varint(b, n, e) != 0 || buf_add(b, text, n, e) != 0 ? -1 : 0;
}

static int put_list(struct buf *b, int step, int type, size_t n, struct err *e)
{
    if (put_field(b, step, T_LIST, e) != 0)
        return -1;
    if (n < 15)
        return buf_addc(b, (char)(n << 4 | (size_t)type), e);
    return buf_addc(b, (char)(0xf0 | type), e) != 0 || put_varint(b, n, e) != 0 ? -1 : 0;
}

static int put_stop(struct buf *b, struct err *e)
{
    return buf_addc(b, 0, e);
}

/* ---- cells ---- */

static int end_run(struct column *c, struct err *e)
{
    if (c->run == 0)
        return 0;
    if (put_varint(&c->levels, c->run << 1, e) != 0 ||
        buf_addc(&c->levels, (char)c->run_given, e) != 0)
        return -1;
    c->run = 0;
    return 0;
}

static int add_64(struct buf *b, uint64_t x, size_t n, struct err *e)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)(x >> 8 * i);
    return buf_add(b, bytes, n, e);
}

static int misfit(const struct parquet_write *w, const struct column *c, const char *what,
                  struct err *e)
{
    static const char *const NAMES[] = { "text", "number", "whole number", "date" };

    return err_set(e, ERR_INVALID, "row %llu, %s: a %s, %s expected",
                   (unsigned long long)w->n_rows + w->n_group_rows + 1, c->name, what,
                   NAMES[c->type]);
}

int parquet_write_text(struct parquet_write *w, size_t column, const char *p, size_t n,
                       struct err *e)
{
    struct column *c = &w->columns[column];
    int64_t day;

    if (c->type == PARQUET_DATE) {
        if (n != DAY_TEXT || p[4] != '-' || day_of_text(p, n, 0, &day) != 0)
            return misfit(w, c, "text that is none", e);
        c->is_given = 1;
        return add_64(&c->values, (uint64_t)day, 4, e);
    }
    if (c->type != PARQUET_TEXT)
        return misfit(w, c, "text", e);
    c->is_given = 1;
    return add_64(&c->values, n, 4, e) != 0 || buf_add(&c->values, p, n, e) != 0 ? -1 : 0;
}

int parquet_write_number(struct parquet_write *w, size_t column, double x, struct err *e)
{
    struct column *c = &w->columns[column];
    uint64_t bits;

    if (c->type == PARQUET_WHOLE && x == floor(x) && fabs(x) < 0x1p63)
        return parquet_write_whole(w, column, (int64_t)x, e);
    if (c->type != PARQUET_NUMBER)
        return misfit(w, c, "number", e);
    c->is_given = 1;
    memcpy(&bits, &x, sizeof bits);
    return add_64(&c->values, bits, 8, e);
}

int parquet_write_whole(struct parquet_write *w, size_t column, int64_t x, struct err *e)
{
    struct column *c = &w->columns[column];

    if (c->type == PARQUET_NUMBER)
        return parquet_write_number(w, column, (double)x, e);
    if (c->type != PARQUET_WHOLE)
        return misfit(w, c, "number", e);
    c->is_given = 1;
    return add_64(&c->values, (uint64_t)x, 8, e);
}

/* ---- the file ---- */

static int put_bytes(struct parquet_write *w, const void *data, size_t n, struct err *e)
{
    const char *p = data;

    for (size_t done = 0; done < n;) {
        ssize_t k = write(w->fd, p + done, n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return err_errno(e, k < 0 ? errno : ENOSPC, "%s", w->path);
        done += (size_t)k;
    }
    w->at += n;
    return 0;
}

static int pack(struct parquet_write *w, struct err *e)
{
    z_stream z = { 0 };
    int rc;

    buf_clear(&w->packed);
    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return err_set(e, ERR_NOMEM, "no memory to pack a page");
    size_t bound = deflateBound(&z, w->page.len);
    char *to = buf_room(&w->packed, bound, e);
    if (to == NULL) {
        deflateEnd(&z);
        return -1;
    }
    z.next_in = (Bytef *)w->page.data;
    z.avail_in = (uInt)w->page.len;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)bound;
    rc = deflate(&z, Z_FINISH);
    w->packed.len = z.total_out;
    deflateEnd(&z);
    return rc == Z_STREAM_END ? 0 : err_set(e, ERR_IO, "%s: a page cannot be packed", w->path);
}

/* The page of one column: its header, which cells there are, the cells. */
static int put_page(struct parquet_write *w, struct column *c, size_t *n_raw, size_t *n_packed,
                    struct err *e)
{
    struct buf head;
    int rc = -1;

    buf_clear(&w->page);
    if (end_run(c, e) != 0 || add_64(&w->page, c->levels.len, 4, e) != 0 ||
        buf_add(&w->page, c->levels.data, c->levels.len, e) != 0 ||
        buf_add(&w->page, c->values.data, c->values.len, e) != 0 || pack(w, e) != 0)
        return -1;
    buf_init(&head, 256);
    if (put_number(&head, 1, T_I32, DATA_PAGE, e) == 0 &&
        put_number(&head, 1, T_I32, w->page.len, e) == 0 &&
        put_number(&head, 1, T_I32, w->packed.len, e) == 0 &&
        put_field(&head, 2, T_STRUCT, e) == 0 &&
        put_number(&head, 1, T_I32, w->n_group_rows, e) == 0 &&
        put_number(&head, 1, T_I32, PLAIN, e) == 0 && put_number(&head, 1, T_I32, RLE, e) == 0 &&
        put_number(&head, 1, T_I32, RLE, e) == 0 && put_stop(&head, e) == 0 &&
        put_stop(&head, e) == 0 && put_bytes(w, head.data, head.len, e) == 0)
        rc = put_bytes(w, w->packed.data, w->packed.len, e);
    *n_raw = head.len + w->page.len;
    *n_packed = head.len + w->packed.len;
    buf_deinit(&head);
    buf_clear(&c->levels);
    buf_clear(&c->values);
    return rc;
}

/* What the directory says of a column in a group. */
static int put_chunk(struct parquet_write *w, const struct column *c, uint64_t at, size_t n_raw,
                     size_t n_packed, struct err *e)
{
    struct buf *b = &w->groups;

    return put_number(b, 2, T_I64, at, e) != 0 || put_field(b, 1, T_STRUCT, e) != 0 ||
                   put_number(b, 1, T_I32, (uint64_t)TYPES[c->type].physical, e) != 0 ||
                   put_list(b, 1, T_I32, 2, e) != 0 || put_varint(b, PLAIN << 1, e) != 0 ||
                   put_varint(b, RLE << 1, e) != 0 || put_list(b, 1, T_TEXT, 1, e) != 0 ||
                   put_text(b, c->name, e) != 0 || put_number(b, 1, T_I32, GZIP, e) != 0 ||
                   put_number(b, 1, T_I64, w->n_group_rows, e) != 0 ||
                   put_number(b, 1, T_I64, n_raw, e) != 0 ||
                   put_number(b, 1, T_I64, n_packed, e) != 0 ||
                   put_number(b, 2, T_I64, at, e) != 0 || put_stop(b, e) != 0 ||
                   put_stop(b, e) != 0
               ? -1
               : 0;
}

static int put_group(struct parquet_write *w, struct err *e)
{
    uint64_t n_bytes = 0;

    if (w->n_group_rows == 0)
        return 0;
    if (put_list(&w->groups, 1, T_STRUCT, w->n_columns, e) != 0)
        return -1;
    for (size_t i = 0; i < w->n_columns; i++) {
        struct column *c = &w->columns[i];
        uint64_t at = w->at;
        size_t n_raw, n_packed;
        if (put_page(w, c, &n_raw, &n_packed, e) != 0 ||
            put_chunk(w, c, at, n_raw, n_packed, e) != 0)
            return -1;
        n_bytes += n_raw;
    }
    if (put_number(&w->groups, 1, T_I64, n_bytes, e) != 0 ||
        put_number(&w->groups, 1, T_I64, w->n_group_rows, e) != 0 || put_stop(&w->groups, e) != 0)
        return -1;
    w->n_groups++;
    w->n_rows += w->n_group_rows;
    w->n_group_rows = 0;
    return 0;
}

static int put_footer(struct parquet_write *w, struct err *e)
{
    struct buf *b = &w->page;
    uint64_t start = w->at;

    buf_clear(b);
    if (put_number(b, 1, T_I32, 1, e) != 0 ||
        put_list(b, 1, T_STRUCT, w->n_columns + 1, e) != 0 || put_field(b, 4, T_TEXT, e) != 0 ||
        put_text(b, "schema", e) != 0 || put_number(b, 1, T_I32, w->n_columns, e) != 0 ||
        put_stop(b, e) != 0)
        return -1;
    for (size_t i = 0; i < w->n_columns; i++) {
        const struct column *c = &w->columns[i];
        int converted = TYPES[c->type].converted;
        if (put_number(b, 1, T_I32, (uint64_t)TYPES[c->type].physical, e) != 0 ||
            put_number(b, 2, T_I32, OPTIONAL, e) != 0 || put_field(b, 1, T_TEXT, e) != 0 ||
            put_text(b, c->name, e) != 0 ||
            (converted >= 0 && put_number(b, 2, T_I32, (uint64_t)converted, e) != 0) ||
            put_stop(b, e) != 0)
            return -1;
    }
    if (put_number(b, 1, T_I64, w->n_rows, e) != 0 ||
        put_list(b, 1, T_STRUCT, w->n_groups, e) != 0 ||
        buf_add(b, w->groups.data, w->groups.len, e) != 0 || put_field(b, 2, T_TEXT, e) != 0 ||
        put_text(b, "plastinka", e) != 0 || put_stop(b, e) != 0 ||
        put_bytes(w, b->data, b->len, e) != 0)
        return -1;
    buf_clear(b);
    return add_64(b, w->at - start, 4, e) != 0 || buf_adds(b, "PAR1", e) != 0 ||
                   put_bytes(w, b->data, b->len, e) != 0
               ? -1
               : 0;
}

int parquet_write_next(struct parquet_write *w, struct err *e)
{
    size_t n_bytes = 0;

    for (size_t i = 0; i < w->n_columns; i++) {
        struct column *c = &w->columns[i];
        if (c->run_given != c->is_given && end_run(c, e) != 0)
            return -1;
        c->run_given = c->is_given;
        c->run++;
        c->is_given = 0;
        n_bytes += c->values.len + c->levels.len;
    }
    w->n_group_rows++;
    return w->n_group_rows == GROUP_ROWS_MAX || n_bytes > GROUP_BYTES_MAX ? put_group(w, e) : 0;
}

static void free_all(struct parquet_write *w)
{
    if (w->fd >= 0)
        close(w->fd);
    for (size_t i = 0; w->columns != NULL && i < w->n_columns; i++) {
        mem_free(w->columns[i].name);
        buf_deinit(&w->columns[i].levels);
        buf_deinit(&w->columns[i].values);
    }
    mem_free(w->columns);
    buf_deinit(&w->groups);
    buf_deinit(&w->page);
    buf_deinit(&w->packed);
    mem_free(w->path);
    mem_free(w);
}

int parquet_write_open(struct parquet_write **out, const char *path, const char *const *names,
                       const enum parquet_type *types, size_t n_columns, struct err *e)
{
    struct parquet_write *w;

    *out = NULL;
    for (size_t i = 0; i < n_columns; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0)
                return err_set(e, ERR_INVALID, "two columns are called %s", names[i]);
    w = mem_zero(1, sizeof *w);
    if (w == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w->fd = -1;
    buf_init(&w->groups, FOOTER_MAX);
    buf_init(&w->page, VALUES_MAX);
    buf_init(&w->packed, VALUES_MAX);
    w->path = mem_dup(path);
    w->columns = mem_zero(n_columns, sizeof *w->columns);
    w->n_columns = n_columns;
    if (w->path == NULL || w->columns == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto fail;
    }
    for (size_t i = 0; i < n_columns; i++) {
        struct column *c = &w->columns[i];
        c->type = types[i];
        buf_init(&c->levels, VALUES_MAX);
        buf_init(&c->values, VALUES_MAX);
        if ((c->name = mem_dup(names[i])) == NULL) {
            err_set(e, ERR_NOMEM, "out of memory");
            goto fail;
        }
    }
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        err_errno(e, errno, "%s", path);
        goto fail;
    }
    if (put_bytes(w, "PAR1", 4, e) != 0) {
        parquet_write_drop(w);
        return -1;
    }
    *out = w;
    return 0;
fail:
    free_all(w);
    return -1;
}

int parquet_write_close(struct parquet_write *w, struct err *e)
{
    int rc = put_group(w, e) != 0 || put_footer(w, e) != 0 ? -1 : 0;

    if (close(w->fd) != 0 && rc == 0)
        rc = err_errno(e, errno, "%s", w->path);
    w->fd = -1;
    if (rc != 0)
        unlink(w->path);
    free_all(w);
    return rc;
}

void parquet_write_drop(struct parquet_write *w)
{
    if (w == NULL)
        return;
    unlink(w->path);
    free_all(w);
}
