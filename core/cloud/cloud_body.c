/*
 * cloud_body.c - the bytes of requests and answers. See cloud_body.h.
 */
#include "cloud/cloud_body.h"

#include <string.h>

/* ---- the body of the answer ---- */

static void on_written(uv_fs_t *req);

/* Hands what waits to the thread pool. */
static void out_start(struct cloud_transfer *t)
{
    struct cloud_side *out = &t->out;
    struct buf swap = out->slice;

    out->slice = out->waiting;
    out->waiting = swap;
    buf_clear(&out->waiting);
    uv_buf_t b = uv_buf_init(out->slice.data, (unsigned)out->slice.len);
    out->req.data = t;
    out->is_busy = 1;
    uv_fs_write(t->loop, &out->req, out->fd, &b, 1, -1, on_written);
}

static void on_written(uv_fs_t *req)
{
    struct cloud_transfer *t = req->data;
    struct cloud_side *out = &t->out;
    ssize_t n = req->result;

    uv_fs_req_cleanup(req);
    out->is_busy = 0;
    if (n < 0) {
        if (t->reply.e.code == ERR_NONE)
            err_errno(&t->reply.e, (int)-n, "writing the answer of %s", t->reply.url);
        buf_clear(&out->waiting);
    } else if ((size_t)n < out->slice.len) { /* a short write: the rest goes first */
        struct err e;
        buf_eat(&out->slice, (size_t)n);
        if (buf_add(&out->slice, out->waiting.data, out->waiting.len, &e) != 0 &&
            t->reply.e.code == ERR_NONE)
            t->reply.e = e;
        struct buf swap = out->slice;
        out->slice = out->waiting;
        out->waiting = swap;
    }
    if (out->waiting.len > 0 && !t->is_cancelled)
        out_start(t);
    if (t->is_done || t->is_cancelled) {
        cloud_fetch_settle(t);
    } else if (out->is_paused) {
        out->is_paused = 0;
        curl_easy_pause(t->easy, t->in.is_paused ? CURLPAUSE_SEND : CURLPAUSE_CONT);
    }
}

size_t cloud_body_take(char *data, size_t size, size_t n, void *p)
{
    struct cloud_transfer *t = p;
    struct cloud_reply *r = &t->reply;
    long status = 0;

    n *= size;
    if (r->e.code != ERR_NONE)
        return 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    int to_file = t->out.fd >= 0 && status >= 200 && status < 300;
    struct buf *b = to_file ? &t->out.waiting : &r->body;
    if (to_file && t->out.is_busy && b->len + n > CLOUD_SLICE_BYTES) {
        t->out.is_paused = 1;
        return CURL_WRITEFUNC_PAUSE; /* comes again with the same bytes */
    }
    if (r->bytes + n > t->max_bytes) {
        err_set(&r->e, ERR_LIMIT, "the answer of %s is larger than %llu bytes", r->url,
                (unsigned long long)t->max_bytes);
        return 0;
    }
    if (buf_add(b, data, n, &r->e) != 0)
        return 0;
    r->bytes += n;
    if (to_file && !t->out.is_busy)
        out_start(t);
    return n;
}

size_t cloud_body_head(char *data, size_t size, size_t n, void *p)
{
    struct cloud_transfer *t = p;

    n *= size;
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) { /* of an interim answer or a redirect before */
        buf_clear(&t->reply.headers);
        buf_clear(&t->reply.body);
        return n;
    }
    size_t keep = n;
    while (keep > 0 && (data[keep - 1] == '\r' || data[keep - 1] == '\n'))
        keep--;
    if (keep > 0 && (buf_add(&t->reply.headers, data, keep, &t->reply.e) != 0 ||
                     buf_addc(&t->reply.headers, '\n', &t->reply.e) != 0))
        return 0;
    return n;
}

/* ---- the body of the request ---- */

static void on_slice_read(uv_fs_t *req)
{
    struct cloud_transfer *t = req->data;
    struct cloud_side *in = &t->in;
    ssize_t n = req->result;

    uv_fs_req_cleanup(req);
    in->is_busy = 0;
    in->used = 0;
    in->slice.len = n > 0 ? (size_t)n : 0;
    if (n <= 0 && t->reply.e.code == ERR_NONE) {
        if (n < 0)
            err_errno(&t->reply.e, (int)-n, "reading the file to send");
        else
            err_set(&t->reply.e, ERR_IO, "the file to send became shorter while it was sent");
    } else {
        in->offset += (uint64_t)n;
    }
    if (t->is_done || t->is_cancelled) {
        cloud_fetch_settle(t);
    } else if (in->is_paused) {
        in->is_paused = 0;
        curl_easy_pause(t->easy, t->out.is_paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
    }
}

size_t cloud_body_give(char *to, size_t size, size_t n, void *p)
{
    struct cloud_transfer *t = p;
    struct cloud_side *in = &t->in;

    n *= size;
    if (t->reply.e.code != ERR_NONE)
        return CURL_READFUNC_ABORT;
    if (in->used < in->slice.len) {
        size_t left = in->slice.len - in->used;
        n = n < left ? n : left;
        memcpy(to, in->slice.data + in->used, n);
        in->used += n;
        return n;
    }
    if (in->offset >= in->bytes)
        return 0;
    if (!in->is_busy) {
        uint64_t left = in->bytes - in->offset;
        char *room = (buf_clear(&in->slice), buf_room(&in->slice, CLOUD_SLICE_BYTES, &t->reply.e));
        if (room == NULL)
            return CURL_READFUNC_ABORT;
        uv_buf_t b = uv_buf_init(room, (unsigned)(left < CLOUD_SLICE_BYTES ? left : CLOUD_SLICE_BYTES));
        in->req.data = t;
        in->is_busy = 1;
        uv_fs_read(t->loop, &in->req, in->fd, &b, 1, (int64_t)in->offset, on_slice_read);
    }
    in->is_paused = 1;
    return CURL_READFUNC_PAUSE;
}

/* A redirect or a reused connection that was dead: from the front again. */
int cloud_body_rewind(void *p, curl_off_t offset, int origin)
{
    struct cloud_transfer *t = p;

    if (origin != SEEK_SET || t->in.is_busy || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    t->in.offset = (uint64_t)offset;
    t->in.used = t->in.slice.len = 0;
    return CURL_SEEKFUNC_OK;
}
