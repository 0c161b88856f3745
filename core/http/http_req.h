/*
 * http_req.h - one request, from its head to the log line of its answer.
 *
 * Held by its connection until it is answered or the client is gone, by the app until
 * http_req_done, and by every operation under way for it. Blocks are kept and used again: a request
 * of ordinary size allocates nothing.
 */
#ifndef HTTP_REQ_H
#define HTTP_REQ_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/http_chunk.h"
#include "http/http_parse.h"

struct http_conn;
struct http_server;
struct http_req;

#define HTTP_ID_MAX 128
#define HTTP_NOTES_MAX 512
#define HTTP_BODY_HIGH (256 << 10) /* above it the socket is not read, a writer waits */

enum http_wire { WIRE_NONE, WIRE_HEAD, WIRE_BODY, WIRE_DONE };
enum http_body_state { BODY_NONE, BODY_MORE, BODY_END, BODY_FAILED };

/* What is known of the answer's head while it is made. */
struct http_answer {
    size_t mark;          /* where it begins in the output: to take it back */
    size_t etag_at;       /* offset of the ETag value, 0 = none */
    uint8_t is_compressible, no_transform, has_type, has_encoding, has_vary;
};

struct http_req {
    struct http_conn *conn; /* NULL when the client is gone or the answer is complete */
    struct http_server *server;
    unsigned refs;
    struct http_req *next_spare;

    char *bytes;          /* the head as sent, then room for the decoded path */
    size_t cap_bytes;
    char id[HTTP_ID_MAX];
    uint8_t n_id;
    uint8_t is_gone, is_done;
    uint64_t start_ns;
    char ip[46];
    int port;

    /* body, see http_body.h */
    enum http_body_state body_state;
    uint8_t continued;
    int body_status;      /* what a failed body deserves */
    struct err body_err;
    struct http_chunk chunk;
    int64_t body_left;    /* of a Content-Length */
    uint64_t body_bytes;  /* come in so far, decoded */
    uint64_t body_clock_ms, body_clock_bytes; /* while somebody waited for the client */
    struct buf body;      /* not yet taken from body_at on */
    size_t body_at;
    void (*on_body)(struct http_req *r, void *arg);
    void *on_body_arg;

    /* answer, see http_reply.h */
    enum http_wire wire;
    int status;
    uint8_t close_after, is_chunked_out, no_body_out;
    uint64_t bytes_out;
    struct http_answer answer;
    void (*on_room)(struct http_req *r, void *arg);
    void *on_room_arg;

    /* who of this room goes on answering without the app: told when the client goes */
    void (*on_cut)(void *arg);
    void *on_cut_arg;

    void *app;            /* the app's own */
    char label[128];      /* of the route, for counters and log */
    uint8_t n_label;
    uint16_t n_notes;
    char notes[HTTP_NOTES_MAX]; /* JSON members for the log line */

    struct http_head head; /* last: its field table is not cleared */
};

/* The app is through with it. Unanswered, it gets 500 (or what a failed body deserves). */
void http_req_done(struct http_req *r);

/* The same, but an unanswered request is answered with this status, error code and message. */
void http_req_fail(struct http_req *r, int status, const char *code, const char *message);

/* For counters and the log: the pattern of the route. Cut at 127 bytes. */
void http_req_label(struct http_req *r, const char *label, size_t n);

/* Adds a member to the log line; left out when there is no more room. Name: a plain word. */
void http_req_note(struct http_req *r, const char *name, const char *value, size_t n);

/* The valid W3C traceparent of the client, or NULL. 55 bytes or more, *n tells. */
const char *http_req_traceparent(const struct http_req *r, size_t *n);

/* --- for the room --- */

struct http_req *http_req_new(struct http_server *s); /* one reference; NULL: no memory */
void http_req_ref(struct http_req *r);
void http_req_unref(struct http_req *r);
void http_req_free_spares(struct http_server *s);
/* Takes the client's id or makes one, after the head was read. */
void http_req_identify(struct http_req *r);
/* Counts and logs the answer. */
void http_req_account(struct http_req *r);

#endif
