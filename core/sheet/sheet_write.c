/*
 * sheet_write.c - see sheet_write.h. Cells go straight on: to libxlsxwriter, which keeps one row, to
 * parquet_write.c, or into a buffer that is written out when it has grown.
 */
#include "sheet/sheet_write.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <xlsxwriter.h>

#include "base/buf.h"
#include "base/day.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/typed.h"
#include "sheet/parquet_write.h"
#include "sheet/sheet_row.h"

#define CSV_FLUSH_BYTES (256u << 10)
#define CSV_BUFFER_MAX (256u << 20) /* one text of SQLite is smaller */
#define CELL_CHARS_MAX 32767
#define WIDTH_MIN 9.0
#define WIDTH_MAX 40.0
#define ROWS_PER_TICK 1024

struct sheet_write {
    char *path;
    enum sheet_style *styles;
    size_t n_columns, column;
    int64_t row;
    /* xlsx */
    lxw_workbook *book;
    lxw_worksheet *sheet;
    lxw_format *formats[SHEET_STYLE_COUNT];
    struct buf text; /* libxlsxwriter wants a NUL */
    struct parquet_write *parquet;
    int fd;          /* csv is written to it; xlsx: it only holds the place */
    /* csv */
    char separator;
    struct buf out;
};

static int fail_xlsx(const struct sheet_write *w, lxw_error code, struct err *e)
{
    enum err_code kind = code == LXW_ERROR_MEMORY_MALLOC_FAILED           ? ERR_NOMEM
                         : code == LXW_ERROR_MAX_STRING_LENGTH_EXCEEDED ||
                                 code == LXW_ERROR_WORKSHEET_INDEX_OUT_OF_RANGE
                             ? ERR_LIMIT
                         : code == LXW_ERROR_SHEETNAME_LENGTH_EXCEEDED ||
                                 code == LXW_ERROR_INVALID_SHEETNAME_CHARACTER ||
                                 code == LXW_ERROR_SHEETNAME_START_END_APOSTROPHE ||
                                 code == LXW_ERROR_PARAMETER_VALIDATION
                             ? ERR_INVALID
                             : ERR_IO;

    return err_set(e, kind, "%s: %s", w->path, lxw_strerror(code));
}

static int open_xlsx(struct sheet_write *w, const struct sheet_write_options *o, struct err *e)
{
    static const char *const CODES[SHEET_STYLE_COUNT] = {
        NULL, "#,##0", "#,##0.00", "0.0%", "yyyy-mm-dd", "General", "General",
        "yyyy-mm-dd hh:mm:ss",
    };
    lxw_workbook_options options = { .constant_memory = 1, .tmpdir = (char *)o->temp_dir };
    lxw_format *bold;
    lxw_error rc = LXW_NO_ERROR;

    w->fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0) /* here we learn why not; the library would not say */
        return err_errno(e, errno, "%s", w->path);
    if (o->sheet != NULL && text_utf8_bad(o->sheet, strlen(o->sheet)) != strlen(o->sheet))
        return err_set(e, ERR_INVALID, "the name of the sheet is not UTF-8");
    w->book = workbook_new_opt(w->path, &options);
    if (w->book == NULL)
        return err_set(e, ERR_IO, "%s: cannot be begun (memory or temporary files)", w->path);
    if (o->sheet != NULL && (rc = workbook_validate_sheet_name(w->book, o->sheet)) != LXW_NO_ERROR)
        return fail_xlsx(w, rc, e);
    w->sheet = workbook_add_worksheet(w->book, o->sheet);
    bold = workbook_add_format(w->book);
    if (w->sheet == NULL || bold == NULL)
        return err_set(e, ERR_IO, "%s: cannot be begun (memory or temporary files)", w->path);
    format_set_bold(bold);
    if (o->created != 0) {
        lxw_doc_properties properties = { .created = (time_t)o->created };
        if ((rc = workbook_set_properties(w->book, &properties)) != LXW_NO_ERROR)
            return fail_xlsx(w, rc, e);
    }
    for (int i = 1; i < SHEET_STYLE_COUNT; i++) {
        w->formats[i] = workbook_add_format(w->book);
        if (w->formats[i] == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        format_set_num_format(w->formats[i], CODES[i]);
    }
    for (size_t i = 0; rc == LXW_NO_ERROR && i < o->n_columns; i++) {
        const struct sheet_write_column *c = &o->columns[i];
        double title = (double)lxw_utf8_strlen(c->title) + 2;
        double least = c->style == SHEET_STYLE_TIME ? 19 : WIDTH_MIN;
        double width = c->width > 0 ? fmin(c->width, 255) : fmin(fmax(title, least), WIDTH_MAX);
        lxw_col_t at = (lxw_col_t)i;
        rc = worksheet_set_column(w->sheet, at, at, width, w->formats[c->style]);
    }
    worksheet_freeze_panes(w->sheet, 1, 0);
    for (size_t i = 0; rc == LXW_NO_ERROR && i < o->n_columns; i++)
        rc = worksheet_write_string(w->sheet, 0, (lxw_col_t)i, o->columns[i].title, bold);
    if (rc == LXW_NO_ERROR && o->n_columns > 0)
        rc = worksheet_autofilter(w->sheet, 0, 0, 0, (lxw_col_t)(o->n_columns - 1));
    w->row = 1;
    return rc == LXW_NO_ERROR ? 0 : fail_xlsx(w, rc, e);
}

static int flush_csv(struct sheet_write *w, struct err *e)
{
    size_t done = 0;

    while (done < w->out.len) {
        ssize_t n = write(w->fd, w->out.data + done, w->out.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(e, n < 0 ? errno : ENOSPC, "%s", w->path);
        done += (size_t)n;
    }
    buf_clear(&w->out);
    return 0;
}

static int open_csv(struct sheet_write *w, const struct sheet_write_options *o, struct err *e)
{
    w->fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return err_errno(e, errno, "%s", w->path);
    w->separator = o->separator != 0 ? o->separator : ',';
    if (o->has_mark && buf_adds(&w->out, "\xef\xbb\xbf", e) != 0)
        return -1;
    for (size_t i = 0; i < o->n_columns; i++)
        if (sheet_write_text(w, o->columns[i].title, strlen(o->columns[i].title), e) != 0)
            return -1;
    return sheet_write_next(w, e);
}

static int open_parquet(struct sheet_write *w, const struct sheet_write_options *o, struct err *e)
{
    static const enum parquet_type TYPES[SHEET_STYLE_COUNT] = {
        PARQUET_TEXT, PARQUET_WHOLE, PARQUET_NUMBER, PARQUET_NUMBER,
        PARQUET_DATE, PARQUET_NUMBER, PARQUET_WHOLE, PARQUET_TEXT,
    };
    const char **names = mem_zero(o->n_columns, sizeof *names);
    enum parquet_type *types = mem_zero(o->n_columns, sizeof *types);
    int rc = -1;

    if (names == NULL || types == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
    } else {
        for (size_t i = 0; i < o->n_columns; i++) {
            names[i] = o->columns[i].title;
            types[i] = TYPES[o->columns[i].style];
        }
        rc = parquet_write_open(&w->parquet, w->path, names, types, o->n_columns, e);
    }
    mem_free(names);
    mem_free(types);
    return rc;
}

int sheet_write_open(struct sheet_write **w, const char *path,
                     const struct sheet_write_options *o, struct err *e)
{
    struct sheet_write *n;

    *w = NULL;
    if (o->n_columns == 0 || o->n_columns > SHEET_COLUMNS_MAX)
        return err_set(e, ERR_INVALID, "%zu columns, 1 to %d expected", o->n_columns,
                       SHEET_COLUMNS_MAX);
    for (size_t i = 0; i < o->n_columns; i++)
        if (text_utf8_bad(o->columns[i].title, strlen(o->columns[i].title)) !=
            strlen(o->columns[i].title))
            return err_set(e, ERR_PARSE, "the title of column %zu is not UTF-8", i + 1);
    n = mem_zero(1, sizeof *n);
    if (n == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    n->fd = -1;
    buf_init(&n->text, CELL_CHARS_MAX * 16);
    buf_init(&n->out, CSV_BUFFER_MAX);
    n->path = mem_dup(path);
    n->styles = mem_zero(o->n_columns, sizeof *n->styles);
    n->n_columns = o->n_columns;
    if (n->path == NULL || n->styles == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        sheet_write_drop(n);
        return -1;
    }
    for (size_t i = 0; i < o->n_columns; i++)
        n->styles[i] = o->columns[i].style;
    if ((o->format == SHEET_WRITE_XLSX  ? open_xlsx(n, o, e)
         : o->format == SHEET_WRITE_CSV ? open_csv(n, o, e)
                                        : open_parquet(n, o, e)) != 0) {
        sheet_write_drop(n);
        return -1;
    }
    *w = n;
    return 0;
}

/* Before a cell: is there a place for it? In csv also the separator. */
static int begin_cell(struct sheet_write *w, struct err *e)
{
    if (w->column == w->n_columns)
        return err_set(e, ERR_SHAPE, "row %lld has more than %zu cells", (long long)w->row + 1,
                       w->n_columns);
    if (w->book != NULL && w->row >= SHEET_ROWS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d rows, which is all a sheet can have",
                       SHEET_ROWS_MAX);
    if (w->fd >= 0 && w->book == NULL && w->column > 0 && buf_addc(&w->out, w->separator, e) != 0)
        return -1;
    w->column++;
    return 0;
}

/* True for what a table program would calculate. */
static int is_formula(const char *p, size_t n)
{
    double x;

    return n > 0 && p[0] != '\0' && strchr("=+-@\t\r\n", p[0]) != NULL &&
           typed_float(p, n, &x) != 0;
}

static int csv_text(struct sheet_write *w, const char *p, size_t n, struct err *e)
{
    int is_quoted = n > 0 && (p[0] == ' ' || p[n - 1] == ' '), is_risky = is_formula(p, n);

    for (size_t i = 0; i < n && !is_quoted; i++)
        is_quoted = p[i] == '"' || p[i] == '\n' || p[i] == '\r' || p[i] == w->separator;
    if (is_quoted && buf_addc(&w->out, '"', e) != 0)
        return -1;
    if (is_risky && buf_addc(&w->out, '\'', e) != 0)
        return -1;
    for (size_t i = 0; i < n;) {
        const char *quote = is_quoted ? memchr(p + i, '"', n - i) : NULL;
        size_t len = quote != NULL ? (size_t)(quote - p) + 1 - i : n - i;
        if (buf_add(&w->out, p + i, len, e) != 0)
            return -1;
        if (quote != NULL && buf_addc(&w->out, '"', e) != 0)
            return -1;
        i += len;
    }
    return is_quoted ? buf_addc(&w->out, '"', e) : 0;
}

static int two_digits(const char *p)
{
    return (p[0] - '0') * 10 + (p[1] - '0');
}

/* The serial number of "YYYY-MM-DD[ hh:mm:ss]"; -1 when it is no such date of the 1900 system. */
static double serial_of(const char *p, size_t n)
{
    int64_t day;
    double part = 0;

    if (n < DAY_TEXT || p[4] != '-' || day_of_text(p, n, 0, &day) != 0)
        return -1;
    if (n >= 16)
        part = two_digits(p + 11) * 3600 + two_digits(p + 14) * 60;
    if (n >= 19)
        part += two_digits(p + 17);
    double serial = (double)(day + 25569); /* 1970-01-01 is 25569 */
    return serial < 61 ? -1 : serial + part / 86400;
}

/*
 * Adds the text as a workbook spells it: "_x0041_" would be read back as "A", so its first "_"
 * becomes "_x005F_".
 */
static int add_spelled(struct buf *to, const char *p, size_t n, struct err *e)
{
    size_t from = 0;

    for (size_t i = 0; i + 7 <= n; i++) {
        const char *q = memmem(p + i, n - i, "_x", 2);
        if (q == NULL)
            break;
        i = (size_t)(q - p);
        if (i + 7 > n || q[6] != '_' || strspn(q + 2, "0123456789abcdefABCDEF") < 4)
            continue;
        if (buf_add(to, p + from, i - from, e) != 0 || buf_adds(to, "_x005F", e) != 0)
            return -1;
        from = i;
    }
    return buf_add(to, p + from, n - from, e) != 0 || buf_text(to, e) == NULL ? -1 : 0;
}

int sheet_write_text(struct sheet_write *w, const char *p, size_t n, struct err *e)
{
    lxw_error rc;

    if (text_utf8_bad(p, n) != n)
        return err_set(e, ERR_PARSE, "row %lld: text that is not UTF-8", (long long)w->row + 1);
    if (begin_cell(w, e) != 0)
        return -1;
    if (w->parquet != NULL)
        return parquet_write_text(w->parquet, w->column - 1, p, n, e);
    if (w->book == NULL)
        return csv_text(w, p, n, e);
    size_t at = w->column - 1;
    enum sheet_style style = w->styles[at];
    if (style == SHEET_STYLE_DATE || style == SHEET_STYLE_TIME) {
        double serial = (n == 10 || n == 16 || n == 19) ? serial_of(p, n) : -1;
        if (serial >= 0) {
            rc = worksheet_write_number(w->sheet, (lxw_row_t)w->row, (lxw_col_t)at, serial,
                                        w->formats[style]);
            return rc == LXW_NO_ERROR ? 0 : fail_xlsx(w, rc, e);
        }
    }
    buf_clear(&w->text);
    if (n > CELL_CHARS_MAX * 4 || memchr(p, '\0', n) != NULL)
        return err_set(e, n > CELL_CHARS_MAX * 4 ? ERR_LIMIT : ERR_PARSE,
                       "row %lld: a text too long for a cell, or with a NUL",
                       (long long)w->row + 1);
    if (n == 0)
        return 0;
    if (add_spelled(&w->text, p, n, e) != 0)
        return -1;
    rc = worksheet_write_string(w->sheet, (lxw_row_t)w->row, (lxw_col_t)at, w->text.data, NULL);
    if (rc == LXW_NO_ERROR)
        return 0;
    fail_xlsx(w, rc, e);
    return err_wrap(e, "row %lld", (long long)w->row + 1);
}

int sheet_write_number(struct sheet_write *w, double x, struct err *e)
{
    char text[TYPED_FLOAT_MAX];

    if (begin_cell(w, e) != 0)
        return -1;
    if (!isfinite(x))
        return 0;
    if (w->parquet != NULL)
        return parquet_write_number(w->parquet, w->column - 1, x, e);
    if (w->book == NULL)
        return buf_add(&w->out, text, typed_of_float(text, x), e);
    size_t at = w->column - 1;
    lxw_error rc = worksheet_write_number(w->sheet, (lxw_row_t)w->row, (lxw_col_t)at, x,
                                          w->formats[w->styles[at]]);
    return rc == LXW_NO_ERROR ? 0 : fail_xlsx(w, rc, e);
}

int sheet_write_whole(struct sheet_write *w, int64_t x, struct err *e)
{
    char text[32];
    int n;

    if (w->parquet != NULL)
        return begin_cell(w, e) != 0 ? -1 : parquet_write_whole(w->parquet, w->column - 1, x, e);
    if (w->book == NULL) {
        n = snprintf(text, sizeof text, "%lld", (long long)x);
        return begin_cell(w, e) != 0 ? -1 : buf_add(&w->out, text, (size_t)n, e);
    }
    if (x > (1ll << 53) || x < -(1ll << 53)) { /* a number cell would lose digits */
        n = snprintf(text, sizeof text, "%lld", (long long)x);
        return sheet_write_text(w, text, (size_t)n, e);
    }
    return sheet_write_number(w, (double)x, e);
}

int sheet_write_empty(struct sheet_write *w, struct err *e)
{
    return begin_cell(w, e);
}

int sheet_write_next(struct sheet_write *w, struct err *e)
{
    w->row++;
    w->column = 0;
    if (w->parquet != NULL)
        return parquet_write_next(w->parquet, e);
    if (w->book != NULL)
        return 0;
    if (buf_adds(&w->out, "\r\n", e) != 0)
        return -1;
    return w->out.len < CSV_FLUSH_BYTES ? 0 : flush_csv(w, e);
}

static int write_value(struct sheet_write *w, sqlite3_stmt *st, int i, struct err *e)
{
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        return sheet_write_whole(w, sqlite3_column_int64(st, i), e);
    case SQLITE_FLOAT:
        return sheet_write_number(w, sqlite3_column_double(st, i), e);
    case SQLITE_TEXT: {
        const char *p = (const char *)sqlite3_column_text(st, i);
        return p == NULL ? err_set(e, ERR_NOMEM, "out of memory")
                         : sheet_write_text(w, p, (size_t)sqlite3_column_bytes(st, i), e);
    }
    default:
        return sheet_write_empty(w, e);
    }
}

int64_t sheet_write_rows(struct sheet_write *w, sqlite3_stmt *st,
                         int (*tick)(void *arg, int64_t n_rows), void *tick_arg, struct err *e)
{
    int64_t n = 0;
    int rc;

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        int n_cells = sqlite3_column_count(st);
        for (int i = 0; i < n_cells; i++)
            if (write_value(w, st, i, e) != 0)
                return -1;
        if (sheet_write_next(w, e) != 0)
            return -1;
        if (++n % ROWS_PER_TICK == 0 && tick != NULL && tick(tick_arg, n) != 0)
            return err_set(e, ERR_CANCELLED, "stopped at row %lld", (long long)n);
    }
    if (rc == SQLITE_DONE)
        return n;
    return err_set(e, (rc & 0xff) == SQLITE_INTERRUPT ? ERR_CANCELLED
                      : (rc & 0xff) == SQLITE_NOMEM   ? ERR_NOMEM
                      : (rc & 0xff) == SQLITE_BUSY    ? ERR_BUSY
                                                      : ERR_IO,
                   "%s", sqlite3_errmsg(sqlite3_db_handle(st)));
}

static void free_all(struct sheet_write *w)
{
    if (w->fd >= 0)
        close(w->fd);
    buf_deinit(&w->text);
    buf_deinit(&w->out);
    mem_free(w->styles);
    mem_free(w->path);
    mem_free(w);
}

int sheet_write_close(struct sheet_write *w, struct err *e)
{
    int rc = 0;

    if (w == NULL)
        return 0;
    if (w->parquet != NULL) {
        rc = parquet_write_close(w->parquet, e);
        w->parquet = NULL;
        free_all(w);
        return rc;
    }
    if (w->book != NULL) {
        lxw_error code = workbook_close(w->book);
        if (code != LXW_NO_ERROR)
            rc = fail_xlsx(w, code, e);
    } else {
        rc = flush_csv(w, e);
        if (close(w->fd) != 0 && rc == 0)
            rc = err_errno(e, errno, "%s", w->path);
        w->fd = -1;
    }
    if (rc != 0)
        unlink(w->path);
    free_all(w);
    return rc;
}

void sheet_write_drop(struct sheet_write *w)
{
    if (w == NULL)
        return;
    parquet_write_drop(w->parquet);
    if (w->book != NULL)
        lxw_workbook_free(w->book);
    if (w->fd >= 0)
        unlink(w->path);
    free_all(w);
}
