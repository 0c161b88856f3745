/*
 * csv_read.c - see csv_read.h. Bytes go file -> raw -> (decoded) -> win -> fields.
 *
 * Fields point into win. A record is scanned until it is whole there, without touching it; only
 * then are doubled quotes taken out in place. So scanning again after more bytes came is harmless.
 */
#include "sheet/csv_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/typed.h"
#include "sheet/sheet_fault.h"

#define RAW_BYTES (64u << 10)

enum encoding { UTF8, UTF16LE, UTF16BE, CP1251 };

/* Windows-1251, bytes 128 … 191; from 192 on it is U+0410 and so on. */
static const uint16_t CP1251_HIGH[64] = {
    0x402, 0x403, 0x201a, 0x453, 0x201e, 0x2026, 0x2020, 0x2021, 0x20ac, 0x2030, 0x409, 0x2039,
    0x40a, 0x40c, 0x40b,  0x40f, 0x452,  0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x98,  0x2122, 0x459, 0x203a, 0x45a, 0x45c,  0x45b,  0x45f,  0xa0,   0x40e,  0x45e,  0x408,
    0xa4,  0x490, 0xa6,   0xa7,  0x401,  0xa9,   0x404,  0xab,   0xac,   0xad,   0xae,   0x407,
    0xb0,  0xb1,  0x406,  0x456, 0x491,  0xb5,   0xb6,   0xb7,   0x451,  0x2116, 0x454,  0xbb,
    0x458, 0x405, 0x455,  0x457,
};

struct csv_read {
    int fd;
    enum encoding encoding;
    size_t mark_bytes;        /* byte-order mark */
    int64_t n_bytes, n_read;  /* of the file */
    char separator;
    unsigned char stops[256]; /* bytes that end a plain field */
    char *raw;
    size_t n_raw;             /* kept from the last chunk: half a UTF-16 character */
    char *win;
    size_t pos, len, cap;
    int is_eof;
    int64_t row;
    struct sheet_cell *cells;
    uint32_t n_cells, n_fields, cap_cells;
};

static int read_raw(struct csv_read *r, size_t at, size_t *n, struct err *e)
{
    ssize_t got;

    do
        got = read(r->fd, r->raw + at, RAW_BYTES - at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_errno(e, errno, "reading the file");
    r->n_read += got;
    *n = at + (size_t)got;
    return 0;
}

/* One look over all bytes: is it text, and in which encoding? */
static int find_encoding(struct csv_read *r, struct err *e)
{
    size_t keep = 0, n;
    int is_first = 1, is_utf8 = 1, is_cut = 0;

    for (;;) {
        if (read_raw(r, keep, &n, e) != 0)
            return -1;
        if (n == keep)
            break;
        const unsigned char *p = (const unsigned char *)r->raw;
        int mark = n >= 2 ? p[0] << 8 | p[1] : 0;
        if (is_first && (mark == 0xfffe || mark == 0xfeff)) {
            r->encoding = mark == 0xfffe ? UTF16LE : UTF16BE;
            r->mark_bytes = 2;
            return 0;
        }
        if (is_first && n >= 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf)
            r->mark_bytes = 3;
        is_first = 0;
        if (memchr(r->raw + keep, '\0', n - keep) != NULL)
            return err_set(e, ERR_PARSE, "neither a workbook nor text: it has bytes of value 0");
        size_t good = is_utf8 ? typed_utf8_prefix(r->raw, n, &is_cut) : n;
        keep = n - good;
        if (keep > 0 && !is_cut)
            is_utf8 = 0;
        if (!is_utf8)
            keep = 0;
        memmove(r->raw, r->raw + n - keep, keep);
    }
    if (keep > 0)
        is_utf8 = 0; /* ends within a character */
    if (!is_utf8 && r->mark_bytes > 0)
        return err_set(e, ERR_PARSE, "the file says it is UTF-8 and is not");
    r->encoding = is_utf8 ? UTF8 : CP1251;
    return 0;
}

int csv_read_open(struct csv_read **r, const char *path, struct err *e)
{
    struct csv_read *n = mem_zero(1, sizeof *n);
    struct stat st;

    *r = NULL;
    if (n == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    n->cap = 4 * RAW_BYTES;
    n->raw = mem_alloc(RAW_BYTES);
    n->win = mem_alloc(n->cap);
    n->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (n->fd < 0) {
        sheet_fault_errno(e, errno, path);
        goto fail;
    }
    if (n->raw == NULL || n->win == NULL) {
        err_set(e, ERR_NOMEM, "out of memory");
        goto fail;
    }
    if (fstat(n->fd, &st) == 0)
        n->n_bytes = st.st_size;
    if (find_encoding(n, e) != 0 || csv_read_rewind(n, ',', e) != 0)
        goto fail;
    *r = n;
    return 0;
fail:
    csv_read_close(n);
    return -1;
}

void csv_read_close(struct csv_read *r)
{
    if (r == NULL)
        return;
    if (r->fd >= 0)
        close(r->fd);
    mem_free(r->raw);
    mem_free(r->win);
    mem_free(r->cells);
    mem_free(r);
}

int csv_read_rewind(struct csv_read *r, char separator, struct err *e)
{
    if (lseek(r->fd, (off_t)r->mark_bytes, SEEK_SET) < 0)
        return err_errno(e, errno, "reading the file");
    memset(r->stops, 0, sizeof r->stops);
    r->separator = separator;
    r->stops[(unsigned char)separator] = r->stops['\n'] = r->stops['\r'] = 1;
    r->n_read = (int64_t)r->mark_bytes;
    r->pos = r->len = r->n_raw = 0;
    r->is_eof = 0;
    r->row = 0;
    return 0;
}

double csv_read_done(const struct csv_read *r)
{
    return r->n_bytes <= 0 || r->n_read >= r->n_bytes ? 1 : (double)r->n_read / (double)r->n_bytes;
}

const char *csv_read_encoding(const struct csv_read *r)
{
    static const char *const NAMES[] = { "utf-8", "utf-16le", "utf-16be", "windows-1251" };

    return NAMES[r->encoding];
}

/* UTF-16 in raw[0 …n) to the end of the window; what is left stays at the front of raw. */
static int decode_utf16(struct csv_read *r, size_t n, struct err *e)
{
    const unsigned char *p = (const unsigned char *)r->raw;
    size_t hi = r->encoding == UTF16LE, i = 0;

    while (i + 2 <= n) {
        uint32_t c = (uint32_t)p[i + hi] << 8 | p[i + 1 - hi];
        size_t used = 2;
        if (c >= 0xd800 && c < 0xdc00) {
            if (i + 4 > n)
                break;
            uint32_t low = (uint32_t)p[i + 2 + hi] << 8 | p[i + 3 - hi];
            if (low < 0xdc00 || low > 0xdfff)
                return err_set(e, ERR_PARSE, "the file says it is UTF-16 and is not");
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            used = 4;
        } else if ((c >= 0xdc00 && c < 0xe000) || c == 0) {
            return err_set(e, ERR_PARSE, "the file says it is UTF-16 and is not");
        }
        r->len += text_utf8_put(r->win + r->len, c);
        i += used;
    }
    r->n_raw = n - i;
    memmove(r->raw, r->raw + i, n - i);
    return 0;
}

/* More text into the window. The record that begins at pos moves to its front. */
static int fill(struct csv_read *r, struct err *e)
{
    size_t n, need = RAW_BYTES * 3; /* a byte becomes at most three */

    memmove(r->win, r->win + r->pos, r->len - r->pos);
    r->len -= r->pos;
    r->pos = 0;
    if (r->len > CSV_RECORD_MAX)
        return err_set(e, ERR_PARSE, "row %lld is longer than %u bytes: is a quote not closed?",
                       (long long)r->row + 1, CSV_RECORD_MAX);
    if (r->len + need > r->cap) {
        size_t cap = r->cap * 2;
        char *wider = mem_resize(r->win, cap);
        if (wider == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        r->win = wider;
        r->cap = cap;
    }
    if (read_raw(r, r->n_raw, &n, e) != 0)
        return -1;
    if (n == r->n_raw) {
        r->is_eof = 1;
        return n == 0 ? 0 : err_set(e, ERR_PARSE, "the file ends within a UTF-16 character");
    }
    if (r->encoding == UTF16LE || r->encoding == UTF16BE)
        return decode_utf16(r, n, e);
    if (r->encoding == UTF8) {
        memcpy(r->win + r->len, r->raw, n);
        r->len += n;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)r->raw[i];
        if (c < 0x80)
            r->win[r->len++] = (char)c;
        else
            r->len += text_utf8_put(r->win + r->len,
                               c < 0xc0 ? CP1251_HIGH[c - 0x80] : 0x410u + (c - 0xc0u));
    }
    return 0;
}

static int add_field(struct csv_read *r, size_t from, size_t to, int has_quotes, struct err *e)
{
    if (r->n_fields++ == SHEET_COLUMNS_MAX)
        return err_set(e, ERR_PARSE, "row %lld has more than %d fields", (long long)r->row + 1,
                       SHEET_COLUMNS_MAX);
    if (from == to)
        return 0;
    if (r->n_cells == r->cap_cells) {
        uint32_t cap = r->cap_cells == 0 ? 64 : r->cap_cells * 2;
        struct sheet_cell *p = mem_resize(r->cells, cap * sizeof *p);
        if (p == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        r->cells = p;
        r->cap_cells = cap;
    }
    r->cells[r->n_cells++] = (struct sheet_cell){ .column = r->n_fields - 1,
                                                  .kind = SHEET_TEXT,
                                                  .at = (uint32_t)from,
                                                  .n_bytes = (uint32_t)(to - from),
                                                  .number = has_quotes };
    return 0;
}

/*
 * The field that begins at win[i]: sets *end to the byte behind it, a separator or line end or
 * `len`. 1, or 0 when its end may be outside of the window.
 */
static int scan_field(const struct csv_read *r, size_t i, size_t *end, int *has_quotes)
{
    const unsigned char *p = (const unsigned char *)r->win;

    *has_quotes = i < r->len && p[i] == '"';
    if (*has_quotes) {
        for (i++;; i++) {
            const unsigned char *q = memchr(p + i, '"', r->len - i);
            if (q == NULL)
                return 0;
            i = (size_t)(q - p) + 1;
            if (i == r->len || p[i] != '"')
                break;
        }
        if (i == r->len && !r->is_eof)
            return 0; /* the quote may be the first of two */
    }
    while (i < r->len && !r->stops[p[i]])
        i++;
    *end = i;
    return i < r->len || r->is_eof;
}

/* The record at pos. *next is where the one behind it begins. 1, 0 when it needs more bytes, -1. */
static int scan_record(struct csv_read *r, size_t *next, struct err *e)
{
    size_t from = r->pos, end;
    int has_quotes;

    r->n_cells = r->n_fields = 0;
    for (;;) {
        if (!scan_field(r, from, &end, &has_quotes))
            return r->is_eof ? err_set(e, ERR_PARSE, "row %lld: a quote is not closed",
                                       (long long)r->row + 1)
                             : 0;
        if (add_field(r, from, end, has_quotes, e) != 0)
            return -1;
        if (end == r->len || r->win[end] != r->separator)
            break;
        from = end + 1;
    }
    if (end < r->len && r->win[end] == '\r') {
        if (end + 1 == r->len && !r->is_eof)
            return 0; /* a line feed may follow */
        end += end + 1 < r->len && r->win[end + 1] == '\n';
    }
    *next = end < r->len ? end + 1 : end;
    return 1;
}

/* Takes the quotes out of a field that began with one, in place. Returns its new length. */
static size_t unquote(char *p, size_t n)
{
    size_t i = 1, out = 0;

    for (; i < n; i++) {
        if (p[i] == '"') {
            i++;
            if (i == n || p[i] != '"')
                break;
        }
        p[out++] = p[i];
    }
    for (; i < n; i++) /* behind the closing quote: as it stands */
        p[out++] = p[i];
    return out;
}

/* Gives the fields of a whole record their pointers; empty ones go. */
static void finish(struct csv_read *r)
{
    uint32_t out = 0;

    for (uint32_t i = 0; i < r->n_cells; i++) {
        struct sheet_cell *c = &r->cells[i];
        char *p = r->win + c->at;
        c->text = p;
        if (c->number != 0)
            c->n_bytes = (uint32_t)unquote(p, c->n_bytes);
        c->number = 0;
        if (c->n_bytes > 0)
            r->cells[out++] = *c;
    }
    r->n_cells = out;
}

int csv_read_row(struct csv_read *r, struct sheet_row *row, struct err *e)
{
    size_t next = 0;
    int rc;

    for (;;) {
        if (r->pos == r->len) {
            if (r->is_eof)
                return 0;
            if (fill(r, e) != 0)
                return -1;
            continue;
        }
        rc = scan_record(r, &next, e);
        if (rc < 0 || (rc == 0 && fill(r, e) != 0))
            return -1;
        if (rc == 0)
            continue;
        finish(r);
        r->pos = next;
        r->row++;
        if (r->n_cells > 0)
            break;
    }
    *row = (struct sheet_row){ r->row, r->n_cells, r->cells };
    return 1;
}
