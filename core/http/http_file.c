/*
 * http_file.c - answers with a file. See http_file.h.
 *
 * A worker opens the file and reads its first piece; from then on it reads one piece while the last
 * one is on its way out. What a worker uses is not touched by the loop while `is_busy`.
 */
#include "http/http_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/http_cond.h"
#include "http/http_date.h"
#include "http/http_gzip.h"
#include "http/http_reply.h"
#include "http/http_server.h"

#define PIECE_BYTES (256 << 10)
#define PACK_BYTES (2 << 20) /* compressible files up to here are read whole and may be gzipped */

struct http_file {
    uv_work_t work;
    struct http_req *r;
    char *path, *type, *download, *cache;
    int immutable, wants_gzip;
    int fd;
    struct err err;
    struct stat st;
    uint64_t at, end;     /* of what is to be sent: at … end - 1 */
    struct buf piece;
    uint8_t is_busy, is_failed, is_cancelled, has_head;
    void (*done)(int failed, const struct err *e, void *arg);
    void *arg;
};

static const struct {
    const char *ending, *type;
} TYPES[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".mjs", "text/javascript; charset=utf-8" },
    { ".json", "application/json" },
    { ".xml", "application/xml" },
    { ".txt", "text/plain; charset=utf-8" },
    { ".md", "text/markdown; charset=utf-8" },
    { ".csv", "text/csv; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".jpg", "image/jpeg" },
    { ".jpeg", "image/jpeg" },
    { ".gif", "image/gif" },
    { ".webp", "image/webp" },
    { ".ico", "image/x-icon" },
    { ".woff2", "font/woff2" },
    { ".pdf", "application/pdf" },
    { ".zip", "application/zip" },
    { ".gz", "application/gzip" },
    { ".parquet", "application/vnd.apache.parquet" },
    { ".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
};

const char *http_file_type(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < sizeof TYPES / sizeof *TYPES; i++)
        if (http_text_same(dot, strlen(dot), TYPES[i].ending, strlen(TYPES[i].ending)))
            return TYPES[i].type;
    return "application/octet-stream";
}

static void file_free(struct http_file *f)
{
    struct http_req *r = f->r;

    if (f->fd >= 0)
        close(f->fd);
    mem_free(f->path);
    mem_free(f->type);
    mem_free(f->download);
    mem_free(f->cache);
    buf_deinit(&f->piece);
    mem_free(f);
    http_req_unref(r);
}

void http_file_cancel(struct http_file *f)
{
    struct http_req *r = f->r;

    f->is_cancelled = 1;
    if (r->on_room_arg == f)
        r->on_room = NULL;
    if (r->on_cut_arg == f)
        r->on_cut = NULL;
    if (!f->is_busy)
        file_free(f);
}

static void on_cut(void *arg)
{
    http_file_cancel(arg);
}

/* Reading failed after the head was sent: what is half must not look whole. */
static void give_up(struct http_file *f, const struct err *e)
{
    LOG(LOG_WARN, "file not sent whole", LOG_S("path", f->path), LOG_S("reason", e->text));
    http_reply_cut(f->r); /* on_cut frees f */
}

/* --- on a worker --- */

static int open_file(struct http_file *f)
{
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (f->fd < 0 && errno == ELOOP)
        return err_set(&f->err, ERR_NOTFOUND, "%s is not a regular file", f->path);
    if (f->fd < 0 && errno == ENAMETOOLONG)
        return err_set(&f->err, ERR_NOTFOUND, "there is no file with a name that long");
    if (f->fd < 0 || fstat(f->fd, &f->st) != 0)
        return err_errno(&f->err, errno, "%s", f->path);
    if (!S_ISREG(f->st.st_mode))
        return err_set(&f->err, ERR_NOTFOUND, "%s is not a regular file", f->path);
    f->end = (uint64_t)f->st.st_size;
    return 0;
}

static void on_work(uv_work_t *w)
{
    struct http_file *f = w->data;

    if (f->fd < 0 && open_file(f) != 0) {
        f->is_failed = 1;
        return;
    }
    uint64_t want = f->end - f->at;
    uint64_t most = !f->has_head && f->wants_gzip && want <= PACK_BYTES ? PACK_BYTES : PIECE_BYTES;
    if (want > most)
        want = most;
    buf_clear(&f->piece);
    if (buf_room(&f->piece, (size_t)want + 1, &f->err) == NULL) {
        f->is_failed = 1;
        return;
    }
    while (f->piece.len < want) {
        ssize_t n = pread(f->fd, f->piece.data + f->piece.len, (size_t)want - f->piece.len,
                          (off_t)(f->at + f->piece.len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            f->is_failed = 1;
            if (n < 0)
                err_errno(&f->err, errno, "%s", f->path);
            else
                err_set(&f->err, ERR_IO, "%s became shorter while it was sent", f->path);
            return;
        }
        f->piece.len += (size_t)n;
    }
}

/* --- on the loop --- */

static void on_work_done(uv_work_t *w, int status);

static void read_next(struct http_file *f)
{
    f->is_busy = 1;
    if (uv_queue_work(f->r->server->loop, &f->work, on_work, on_work_done) != 0) {
        struct err e;
        f->is_busy = 0;
        err_set(&e, ERR_IO, "%s: no worker", f->path);
        give_up(f, &e);
    }
}

static void on_room(struct http_req *r, void *arg)
{
    r->on_room = NULL;
    read_next(arg);
}

/* Sends the piece at hand, asks for the next. */
static void send_piece(struct http_file *f)
{
    struct http_req *r = f->r;
    struct err e = { 0 };

    if (http_reply_chunk(r, f->piece.data, f->piece.len, &e) != 0) {
        give_up(f, &e);
        return;
    }
    f->at += f->piece.len;
    if (f->at == f->end || r->no_body_out) {
        r->on_cut = NULL;
        http_reply_end(r);
        http_file_cancel(f);
    } else if (http_reply_is_full(r)) {
        r->on_room = on_room;
        r->on_room_arg = f;
    } else {
        read_next(f);
    }
}

static int header(struct http_req *r, const char *name, const char *value, struct err *e)
{
    return http_reply_header(r, name, strlen(name), value, strlen(value), e);
}

/* RFC 6266: a plain name for old clients, the real one in UTF-8. */
static int disposition(struct http_req *r, const char *name, struct err *e)
{
    static const char HEX[] = "0123456789ABCDEF";
    char text[1024];
    size_t n = 0, len = strnlen(name, 200);

    n = (size_t)snprintf(text, sizeof text, "attachment; filename=\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        text[n++] = c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? '_' : (char)c;
    }
    n += (size_t)snprintf(text + n, sizeof text - n, "\"; filename*=UTF-8''");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        char low = (char)(c | 0x20);
        if ((c >= '0' && c <= '9') || (c < 0x80 && low >= 'a' && low <= 'z') || c == '.' ||
            c == '-' || c == '_') {
            text[n++] = (char)c;
        } else {
            text[n++] = '%';
            text[n++] = HEX[c >> 4];
            text[n++] = HEX[c & 15];
        }
    }
    return http_reply_header(r, "Content-Disposition", 19, text, n, e);
}

static int put_range(struct http_req *r, enum http_cond_result what, uint64_t from, uint64_t to,
                     uint64_t bytes, struct err *e)
{
    char text[80];

    if (what == HTTP_COND_PART)
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)from,
                 (unsigned long long)to, (unsigned long long)bytes);
    else
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)bytes);
    return header(r, "Content-Range", text, e);
}

static const int STATUS[] = { [HTTP_COND_ALL] = 200, [HTTP_COND_PART] = 206,
                              [HTTP_COND_SAME] = 304, [HTTP_COND_FAILED] = 412,
                              [HTTP_COND_NO_RANGE] = 416 };

/* The head, and for what is short or bare the whole answer. 1: a body is to follow. -1 with `e`. */
static int answer(struct http_file *f, struct err *e)
{
    struct http_req *r = f->r;
    char etag[64], modified[HTTP_DATE_BYTES + 1] = { 0 };
    uint64_t from = 0, to = f->end ? f->end - 1 : 0;
    struct timespec now;

    /* a file changed within the last second could change again unseen: its tag is weak */
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(etag, sizeof etag, "%s\"%llx-%llx\"",
             now.tv_sec - f->st.st_mtim.tv_sec > 1 ? "" : "W/",
             (unsigned long long)f->st.st_mtim.tv_sec * 1000000000ull +
                 (unsigned long long)f->st.st_mtim.tv_nsec,
             (unsigned long long)f->end);
    http_date_write(modified, f->st.st_mtim.tv_sec);
    struct http_content c = { etag, f->st.st_mtim.tv_sec, f->end };
    enum http_cond_result what = http_cond_check(&r->head, &c, &from, &to);
    const char *cache = f->cache       ? f->cache
                        : f->immutable ? "public, max-age=31536000, immutable"
                                       : NULL;

    if (http_reply_start(r, STATUS[what], e) != 0)
        return -1;
    if (header(r, "ETag", etag, e) != 0 || header(r, "Last-Modified", modified, e) != 0 ||
        header(r, "Accept-Ranges", "bytes", e) != 0 ||
        (cache && header(r, "Cache-Control", cache, e) != 0) ||
        (what <= HTTP_COND_PART && header(r, "Content-Type", f->type, e) != 0) ||
        (what <= HTTP_COND_PART && f->download && disposition(r, f->download, e) != 0) ||
        ((what == HTTP_COND_PART || what == HTTP_COND_NO_RANGE) &&
         put_range(r, what, from, to, f->end, e) != 0))
        goto fail;
    if (what > HTTP_COND_PART)
        return http_reply_body(r, "", 0, e) != 0 ? -1 : 0;
    uint64_t had = f->piece.len, n = f->end ? to - from + 1 : 0;
    if (from + n <= had) /* all of it is at hand */
        return http_reply_body(r, n ? f->piece.data + from : "", (size_t)n, e) ? -1 : 0;
    if (http_reply_sized(r, n, e) != 0)
        return -1;
    f->has_head = 1;
    f->end = to + 1;
    if (from < had) { /* goes on with what was read */
        buf_eat(&f->piece, (size_t)from);
        if (f->piece.len > n)
            f->piece.len = (size_t)n;
    } else {
        buf_clear(&f->piece);
    }
    f->at = from;
    return 1;
fail:
    http_reply_undo(r);
    return -1;
}

static void on_work_done(uv_work_t *w, int status)
{
    struct http_file *f = w->data;
    struct err e = { 0 };

    (void)status;
    f->is_busy = 0;
    if (f->is_cancelled) {
        file_free(f);
        return;
    }
    if (f->has_head) {
        if (f->is_failed)
            give_up(f, &f->err);
        else
            send_piece(f);
        return;
    }
    int k = f->is_failed ? -1 : answer(f, &e);
    if (k > 0) {
        f->r->on_cut = on_cut;
        f->r->on_cut_arg = f;
    }
    f->is_busy = 1; /* the app may end the request or the connection meanwhile */
    f->done(k < 0, f->is_failed ? &f->err : &e, f->arg);
    f->is_busy = 0;
    if (f->is_cancelled || k <= 0)
        file_free(f);
    else
        send_piece(f);
}

static char *copy_of(const char *text, int *bad)
{
    char *copy = text ? mem_dup(text) : NULL;

    *bad |= text && !copy;
    return copy;
}

struct http_file *http_file_send(struct http_req *r, const char *path,
                                 const struct http_file_opt *opt,
                                 void (*done)(int failed, const struct err *e, void *arg),
                                 void *arg, struct err *e)
{
    struct http_file *f = mem_zero(1, sizeof *f);
    int bad = f == NULL;

    if (f != NULL) {
        f->fd = -1;
        f->r = r;
        http_req_ref(r);
        buf_init(&f->piece, PACK_BYTES + 1);
        f->path = copy_of(path, &bad);
        f->type = copy_of(opt->type ? opt->type : http_file_type(path), &bad);
        f->download = copy_of(opt->download, &bad);
        f->cache = copy_of(opt->cache, &bad);
        f->immutable = opt->immutable;
        f->done = done;
        f->arg = arg;
        f->work.data = f;
    }
    if (bad) {
        if (f != NULL)
            file_free(f);
        err_set(e, ERR_NOMEM, "no memory to send %s", path);
        return NULL;
    }
    f->wants_gzip = r->head.accept_gzip && http_gzip_is_type(f->type, strlen(f->type));
    f->is_busy = 1;
    if (uv_queue_work(r->server->loop, &f->work, on_work, on_work_done) != 0) {
        file_free(f);
        err_set(e, ERR_IO, "%s: no worker", path);
        return NULL;
    }
    return f;
}

int http_file_bytes(struct http_req *r, const char *data, size_t n, const char *etag, struct err *e)
{
    struct http_content c = { etag, -1, n };
    uint64_t from = 0, to = 0;
    enum http_cond_result what =
        r->status == 200 ? http_cond_check(&r->head, &c, &from, &to) : HTTP_COND_ALL;

    if (header(r, "ETag", etag, e) != 0 || header(r, "Accept-Ranges", "bytes", e) != 0 ||
        ((what == HTTP_COND_PART || what == HTTP_COND_NO_RANGE) &&
         put_range(r, what, from, to, n, e) != 0)) {
        http_reply_undo(r);
        return -1;
    }
    if (what != HTTP_COND_ALL && http_reply_restatus(r, STATUS[what]) != 0) {
        http_reply_undo(r);
        return err_set(e, ERR_NOMEM, "no memory for an answer");
    }
    if (what == HTTP_COND_PART)
        return http_reply_body(r, data + from, (size_t)(to - from + 1), e);
    return http_reply_body(r, data, what == HTTP_COND_ALL ? n : 0, e);
}
