/*
 * cloud_fetch.c - the fetcher and its transfers. See cloud_fetch.h.
 *
 * curl tells which sockets and which timer it waits for (on_socket, on_timer_wanted); libuv tells
 * when they are ready (on_ready, on_timer); finished transfers are then collected (collect).
 */
#include "cloud/cloud_fetch.h"

#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "cloud/cloud_body.h"

#define CONNECTIONS_MAX 64L
#define HOST_CONNECTIONS_MAX 16L

struct cloud_fetch {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct cloud_transfer *transfers;
    size_t n_active;
    size_t n_handles; /* uv handles that still have to close */
    struct socket *spare;
    size_t n_sockets; /* spare or in use */
    int is_closing;
};

struct socket {
    uv_poll_t poll;
    curl_socket_t fd;
    struct cloud_fetch *f;
    struct socket *next; /* in the list of spare ones */
};

static void collect(struct cloud_fetch *f);

/* ---- loop and curl ---- */

static void handle_gone(struct cloud_fetch *f)
{
    if (--f->n_handles > 0)
        return;
    for (struct socket *s = f->spare, *next; s != NULL; s = next) {
        next = s->next;
        mem_free(s);
    }
    mem_free(f);
}

/*
 * Has sockets ready before curl asks for them: refusing one later, inside its callback, would make
 * curl give up every transfer. A transfer has at most three: resolver and two address families.
 */
static int sockets_prepare(struct cloud_fetch *f)
{
    while (f->n_sockets < 3 * (f->n_active + 1)) {
        struct socket *s = mem_zero(1, sizeof *s);
        if (s == NULL)
            return -1;
        s->next = f->spare;
        f->spare = s;
        f->n_sockets++;
    }
    return 0;
}

static void on_socket_closed(uv_handle_t *h)
{
    struct socket *s = h->data;

    s->next = s->f->spare;
    s->f->spare = s;
    handle_gone(s->f);
}

static void on_timer_closed(uv_handle_t *h)
{
    handle_gone(h->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct socket *s = poll->data;
    struct cloud_fetch *f = s->f;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;

    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    curl_multi_socket_action(f->multi, s->fd, flags, &running);
    collect(f); /* s may be gone */
}

static void on_timer(uv_timer_t *timer)
{
    struct cloud_fetch *f = timer->data;
    int running;

    curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(f);
}

static int on_timer_wanted(CURLM *multi, long ms, void *data)
{
    struct cloud_fetch *f = data;

    (void)multi;
    if (f->is_closing)
        return 0;
    if (ms < 0)
        uv_timer_stop(&f->timer);
    else /* at least a millisecond: curl must not be called from inside itself, nor spin */
        uv_timer_start(&f->timer, on_timer, ms > 0 ? (uint64_t)ms : 1, 0);
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *per_socket)
{
    struct cloud_fetch *f = data;
    struct socket *s = per_socket;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            uv_poll_stop(&s->poll);
            curl_multi_assign(f->multi, fd, NULL);
            uv_close((uv_handle_t *)&s->poll, on_socket_closed);
        }
        return 0;
    }
    if (s == NULL) {
        s = f->spare;
        if (s == NULL) { /* sockets that close still count: rare, so taken from the heap */
            s = mem_zero(1, sizeof *s);
            f->n_sockets += s != NULL;
        } else {
            f->spare = s->next;
        }
        if (s == NULL)
            return -1;
        s->fd = fd;
        s->f = f;
        if (uv_poll_init_socket(f->loop, &s->poll, fd) != 0) {
            s->next = f->spare;
            f->spare = s;
            return -1;
        }
        s->poll.data = s;
        f->n_handles++;
        curl_multi_assign(f->multi, fd, s);
    }
    uv_poll_start(&s->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) |
                                (what & CURL_POLL_OUT ? UV_WRITABLE : 0), on_ready);
    return 0;
}

struct cloud_fetch *cloud_fetch_new(uv_loop_t *loop, struct err *e)
{
    struct cloud_fetch *f = mem_zero(1, sizeof *f);

    if (f == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        (f->multi = curl_multi_init()) == NULL) {
        mem_free(f);
        err_set(e, ERR_NOMEM, "no memory for the HTTP client");
        return NULL;
    }
    f->loop = loop;
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
    curl_multi_setopt(f->multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS_MAX);
    curl_multi_setopt(f->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    uv_timer_init(loop, &f->timer);
    f->timer.data = f;
    uv_unref((uv_handle_t *)&f->timer); /* curl's housekeeping alone keeps no loop alive */
    f->n_handles = 1;
    return f;
}

void cloud_fetch_free(struct cloud_fetch *f)
{
    if (f == NULL)
        return;
    for (struct cloud_transfer *t = f->transfers, *next; t != NULL; t = next) {
        next = t->next;
        cloud_fetch_cancel(t);
    }
    f->is_closing = 1;
    curl_multi_cleanup(f->multi);
    f->multi = NULL;
    uv_close((uv_handle_t *)&f->timer, on_timer_closed);
}

size_t cloud_fetch_active(const struct cloud_fetch *f)
{
    return f->n_active;
}

/* ---- a transfer's end ---- */

static void link_transfer(struct cloud_transfer *t)
{
    struct cloud_fetch *f = t->f;

    t->next = f->transfers;
    t->self = &f->transfers;
    if (t->next != NULL)
        t->next->self = &t->next;
    f->transfers = t;
    if (f->n_active++ == 0)
        uv_ref((uv_handle_t *)&f->timer);
}

static void unlink_transfer(struct cloud_transfer *t)
{
    *t->self = t->next;
    if (t->next != NULL)
        t->next->self = t->self;
    t->self = NULL;
    if (--t->f->n_active == 0)
        uv_unref((uv_handle_t *)&t->f->timer);
}

static void transfer_free(struct cloud_transfer *t)
{
    if (t->easy != NULL)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    for (int i = 0; i < 2; i++) {
        struct cloud_side *s = i ? &t->in : &t->out;
        if (s->fd >= 0)
            close(s->fd);
        buf_deinit(&s->slice);
        buf_deinit(&s->waiting);
    }
    mem_free(t->body);
    buf_deinit(&t->reply.headers);
    buf_deinit(&t->reply.body);
    mem_free(t->reply.url);
    mem_free(t);
}

/* Tells the caller and frees, once no thread works for the transfer any more. */
void cloud_fetch_settle(struct cloud_transfer *t)
{
    if (t->in.is_busy || t->out.is_busy)
        return;
    if (!t->is_cancelled) {
        /* the file is whole before anybody hears of it */
        if (t->out.fd >= 0) {
            int fd = t->out.fd;
            t->out.fd = -1;
            if (close(fd) != 0 && t->reply.e.code == ERR_NONE)
                err_set(&t->reply.e, ERR_IO, "closing the file of the answer failed");
        }
        /* out of the list first: the callback may free the fetcher */
        unlink_transfer(t);
        t->on_done(&t->reply, t->data);
    }
    transfer_free(t);
}

void cloud_fetch_cancel(struct cloud_transfer *t)
{
    if (t->is_cancelled)
        return;
    t->is_cancelled = 1;
    if (!t->is_done)
        curl_multi_remove_handle(t->f->multi, t->easy);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
    unlink_transfer(t); /* the fetcher may go before the thread pool is done */
    cloud_fetch_settle(t);
}

static void explain(struct cloud_transfer *t, CURLcode rc)
{
    struct cloud_reply *r = &t->reply;
    enum err_code code = ERR_REMOTE;

    if (rc == CURLE_OK || r->e.code != ERR_NONE) /* ours is the better one */
        return;
    switch (rc) {
    case CURLE_OPERATION_TIMEDOUT:
        code = ERR_TIMEOUT;
        break;
    case CURLE_OUT_OF_MEMORY:
        code = ERR_NOMEM;
        break;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CACERT_BADFILE:
        code = ERR_INVALID;
        break;
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_FILESIZE_EXCEEDED:
        code = ERR_LIMIT;
        break;
    default:
        break;
    }
    err_set(&r->e, code, "%.300s: %s", r->url, curl_easy_strerror(rc));
}

static void collect(struct cloud_fetch *f)
{
    CURLMsg *m;
    int left;

    f->n_handles++; /* a callback may free the fetcher */
    while (!f->is_closing && (m = curl_multi_info_read(f->multi, &left)) != NULL) {
        struct cloud_transfer *t;
        char *url = NULL;
        long sent = 0;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        explain(t, rc);
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->reply.status);
        curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME, &t->reply.seconds);
        curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME, &t->reply.connect_seconds);
        curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_COUNT, &t->reply.redirects);
        curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
        t->reply.is_sent = sent > 0;
        curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
        char *copy = url ? mem_dup(url) : NULL;
        if (copy != NULL) {
            mem_free(t->reply.url);
            t->reply.url = copy;
        }
        curl_multi_remove_handle(f->multi, t->easy);
        t->is_done = 1;
        cloud_fetch_settle(t);
    }
    handle_gone(f);
}

/* ---- a transfer's start ---- */

struct cloud_transfer *cloud_fetch_start(struct cloud_fetch *f, const struct cloud_request *r,
                                         struct err *e)
{
    struct cloud_transfer *t = mem_zero(1, sizeof *t);

    if (t == NULL) {
        if (r->in_fd >= 0)
            close(r->in_fd);
        if (r->out_fd >= 0)
            close(r->out_fd);
        err_set(e, ERR_NOMEM, "no memory for a request");
        return NULL;
    }
    t->f = f;
    t->loop = f->loop;
    t->in.fd = r->in_fd;
    t->in.bytes = r->in_bytes;
    t->out.fd = r->out_fd;
    t->max_bytes = r->max_bytes;
    t->on_done = r->on_done;
    t->data = r->data;
    buf_init(&t->in.slice, CLOUD_SLICE_BYTES);
    buf_init(&t->out.slice, 4 * CLOUD_SLICE_BYTES);
    buf_init(&t->out.waiting, 4 * CLOUD_SLICE_BYTES);
    buf_init(&t->reply.headers, CLOUD_FETCH_HEADERS_MAX);
    buf_init(&t->reply.body, r->max_bytes < SIZE_MAX / 2 ? (size_t)r->max_bytes : SIZE_MAX / 2);
    if (cloud_request_check(r, e) != 0)
        goto failed;
    err_set(e, ERR_NOMEM, "no memory for a request");
    if (r->body != NULL) {
        if ((t->body = mem_alloc(r->body_bytes)) == NULL)
            goto failed;
        memcpy(t->body, r->body, r->body_bytes);
    }
    t->reply.url = mem_dup(r->url);
    t->easy = curl_easy_init();
    if (t->reply.url == NULL || t->easy == NULL || sockets_prepare(f) != 0 || cloud_request_apply(r, t) != 0)
        goto failed;
    /* curl only arms its timer here; callbacks come later, from the loop */
    if (curl_multi_add_handle(f->multi, t->easy) != CURLM_OK)
        goto failed;
    link_transfer(t);
    return t;
failed:
    transfer_free(t);
    return NULL;
}
