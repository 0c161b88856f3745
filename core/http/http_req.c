/*
 * http_req.c - one request. See http_req.h.
 */
#include "http/http_req.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_reply.h"
#include "http/http_server.h"
#include "http/http_text.h"

#define SPARES_MAX 256
#define SPARE_BYTES (4 << 10) /* larger blocks are not kept */

struct http_req *http_req_new(struct http_server *s)
{
    struct http_req *r = s->spare_reqs;
    char *bytes = NULL;
    size_t cap = 0;

    if (r != NULL) {
        s->spare_reqs = r->next_spare;
        s->n_spare_reqs--;
        bytes = r->bytes;
        cap = r->cap_bytes;
    } else if ((r = mem_alloc(sizeof *r)) == NULL) {
        return NULL;
    }
    /* texts and tables are not cleared, their lengths are */
    r->conn = NULL;
    r->server = s;
    r->refs = 1;
    r->bytes = bytes;
    r->cap_bytes = cap;
    r->n_id = r->is_gone = r->is_done = 0;
    r->start_ns = uv_hrtime();
    r->ip[0] = 0;
    r->port = 0;
    r->body_state = BODY_NONE;
    r->continued = 0;
    r->body_status = 0;
    r->body_left = 0;
    r->body_bytes = r->body_clock_ms = r->body_clock_bytes = 0;
    buf_init(&r->body, HTTP_BODY_HIGH + 4 * HTTP_READ_BYTES);
    r->body_at = 0;
    r->on_body = NULL;
    r->wire = WIRE_NONE;
    r->status = 0;
    r->close_after = r->is_chunked_out = r->no_body_out = 0;
    r->bytes_out = 0;
    r->on_room = NULL;
    r->on_cut = NULL;
    r->on_body_arg = r->on_room_arg = r->on_cut_arg = NULL;
    r->app = NULL;
    r->n_label = 0;
    r->n_notes = 0;
    r->head.n_fields = 0;
    s->n_handles++;
    return r;
}

void http_req_ref(struct http_req *r)
{
    r->refs++;
}

void http_req_unref(struct http_req *r)
{
    struct http_server *s = r->server;

    assert(r->refs > 0);
    if (--r->refs > 0)
        return;
    buf_deinit(&r->body);
    if (s->n_spare_reqs < SPARES_MAX && r->cap_bytes <= SPARE_BYTES && !s->closing) {
        r->next_spare = s->spare_reqs;
        s->spare_reqs = r;
        s->n_spare_reqs++;
    } else {
        mem_free(r->bytes);
        mem_free(r);
    }
    http_server_unref(s);
}

void http_req_free_spares(struct http_server *s)
{
    while (s->spare_reqs != NULL) {
        struct http_req *r = s->spare_reqs;
        s->spare_reqs = r->next_spare;
        mem_free(r->bytes);
        mem_free(r);
    }
    s->n_spare_reqs = 0;
}

static int is_plain_id(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = p[i], low = (char)(c | 0x20);
        if (!((c >= '0' && c <= '9') || (low >= 'a' && low <= 'z') || c == '.' || c == '_' ||
              c == '-'))
            return 0;
    }
    return n >= 1 && n <= HTTP_ID_MAX;
}

/* xoshiro256++ (Blackman, Vigna 2018), seeded by the kernel: ids must differ, not be secret */
static uint64_t draw(uint64_t *s)
{
    uint64_t sum = s[0] + s[3], out = (sum << 23 | sum >> 41) + s[0], t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return out;
}

static void make_uuid(struct http_server *s, char to[36])
{
    static const char HEX[] = "0123456789abcdef";
    uint64_t a = draw(s->random), b = draw(s->random);

    a = (a & ~0xf000ull) | 0x4000;            /* version 4 */
    b = (b & ~(3ull << 62)) | (2ull << 62);   /* variant */
    for (int i = 0, at = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            to[at++] = '-';
        uint64_t half = i < 16 ? a : b;
        to[at++] = HEX[half >> (60 - 4 * (i & 15)) & 15];
    }
}

void http_req_identify(struct http_req *r)
{
    int i = http_parse_find(&r->head, "x-request-id", 12, 0);

    if (i >= 0 && is_plain_id(r->head.fields[i].value, r->head.fields[i].n_value)) {
        r->n_id = (uint8_t)r->head.fields[i].n_value;
        memcpy(r->id, r->head.fields[i].value, r->n_id);
        return;
    }
    make_uuid(r->server, r->id);
    r->n_id = 36;
}

void http_req_label(struct http_req *r, const char *label, size_t n)
{
    if (n > sizeof r->label - 1)
        n = sizeof r->label - 1;
    memcpy(r->label, label, n);
    r->n_label = (uint8_t)n;
}

void http_req_note(struct http_req *r, const char *name, const char *value, size_t n)
{
    size_t n_name = strlen(name);

    if (n > HTTP_NOTES_MAX || n_name > 64 || r->n_notes + n_name + 6 * n + 6 > HTTP_NOTES_MAX)
        return;
    char *p = r->notes + r->n_notes;
    *p++ = ',';
    *p++ = '"';
    p += log_escape(p, name, n_name);
    memcpy(p, "\":\"", 3);
    p += 3;
    p += log_escape(p, value, n);
    *p++ = '"';
    r->n_notes = (uint16_t)(p - r->notes);
}

static int is_hex(const char *p, size_t n, int *all_zero)
{
    *all_zero = 1;
    for (size_t i = 0; i < n; i++) {
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f')))
            return 0;
        if (p[i] != '0')
            *all_zero = 0;
    }
    return 1;
}

const char *http_req_traceparent(const struct http_req *r, size_t *n)
{
    int i = http_parse_find(&r->head, "traceparent", 11, 0), zero;

    if (i < 0 || http_parse_find(&r->head, "traceparent", 11, (uint32_t)i + 1) >= 0)
        return NULL;
    const char *p = r->head.fields[i].value;
    *n = r->head.fields[i].n_value;
    if (*n < 55 || p[2] != '-' || p[35] != '-' || p[52] != '-' || !is_hex(p, 2, &zero) ||
        memcmp(p, "ff", 2) == 0)
        return NULL;
    if (!is_hex(p + 3, 32, &zero) || zero || !is_hex(p + 36, 16, &zero) || zero ||
        !is_hex(p + 53, 2, &zero))
        return NULL;
    return *n == 55 || (memcmp(p, "00", 2) != 0 && p[55] == '-') ? p : NULL;
}

/* By hand: at 100,000 lines a second printf would be a tenth of the work. */
static void write_line(struct http_req *r, uint64_t ns)
{
    size_t n_path = r->head.path.n < 1024 ? r->head.path.n : 1024, n_trace;
    char *start = log_begin(1024 + 6 * n_path + HTTP_NOTES_MAX + 6 * sizeof r->label), *p = start;

    if (p == NULL)
        return;
    p = HTTP_TEXT_PUT(p, "{\"time\":\"");
    log_stamp(p);
    p = HTTP_TEXT_PUT(p + 24, "\",\"level\":\"info\",\"event\":\"request\",\"request_id\":\"");
    p = http_text_put(p, r->id, r->n_id);
    const char *trace = http_req_traceparent(r, &n_trace);
    if (trace != NULL) {
        p = HTTP_TEXT_PUT(p, "\",\"trace_id\":\"");
        p = http_text_put(p, trace + 3, 32);
    }
    p = HTTP_TEXT_PUT(p, "\",\"method\":\"");
    /* a head that was refused has no method and no path to speak of */
    const char *method = r->head.path.n ? http_parse_method(r->head.method) : "-";
    p = http_text_put(p, method, strlen(method));
    p = HTTP_TEXT_PUT(p, "\",\"path\":\"");
    p += log_escape(p, r->head.path.p, n_path);
    if (r->n_label) {
        p = HTTP_TEXT_PUT(p, "\",\"route\":\"");
        p += log_escape(p, r->label, r->n_label);
    }
    p = HTTP_TEXT_PUT(p, "\",\"status\":");
    p = http_text_number(p, (uint64_t)r->status);
    p = HTTP_TEXT_PUT(p, ",\"bytes_in\":");
    p = http_text_number(p, r->body_bytes);
    p = HTTP_TEXT_PUT(p, ",\"bytes_out\":");
    p = http_text_number(p, r->bytes_out);
    p = HTTP_TEXT_PUT(p, ",\"ms\":");
    p = http_text_number(p, ns / 1000000);
    *p++ = '.';
    uint64_t us = ns / 1000 % 1000;
    *p++ = (char)('0' + us / 100);
    *p++ = (char)('0' + us / 10 % 10);
    *p++ = (char)('0' + us % 10);
    p = HTTP_TEXT_PUT(p, ",\"ip\":\"");
    p = http_text_put(p, r->ip, strlen(r->ip));
    *p++ = '"';
    p = http_text_put(p, r->notes, r->n_notes);
    if (r->is_gone)
        p = HTTP_TEXT_PUT(p, ",\"gone\":true");
    p = HTTP_TEXT_PUT(p, "}\n");
    log_end((size_t)(p - start));
    http_server_log_soon(r->server);
}

void http_req_account(struct http_req *r)
{
    uint64_t ns = uv_hrtime() - r->start_ns;

    if (r->n_label)
        http_stat_add(&r->server->stat, r->label, r->n_label, r->status, ns);
    else
        http_stat_add(&r->server->stat, "none", 4, r->status, ns);
    r->server->stat.bytes_in += r->body_bytes;
    if (log_on(LOG_INFO))
        write_line(r, ns);
}

void http_req_fail(struct http_req *r, int status, const char *code, const char *message)
{
    assert(!r->is_done);
    r->is_done = 1;
    r->on_body = NULL;
    if (r->on_cut == NULL)
        r->on_room = NULL;
    if (r->conn != NULL && r->on_cut == NULL) { /* with on_cut, the room itself is answering */
        if (r->wire == WIRE_NONE && r->body_state == BODY_FAILED && r->body_status)
            http_reply_error(r, r->body_status, NULL, r->body_err.text);
        else if (r->wire == WIRE_NONE)
            http_reply_error(r, status, code, message);
        else
            http_reply_cut(r); /* half an answer must not look like a whole one */
    }
    http_req_unref(r);
}

void http_req_done(struct http_req *r)
{
    http_req_fail(r, 500, "internal_error", "the request was not answered");
}
