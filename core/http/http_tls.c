/*
 * http_tls.c - TLS over memory buffers. See http_tls.h.
 *
 * What OpenSSL has to send gathers in its write BIO; http_tls_seal moves it to c->out, from where
 * it goes the way of all output.
 */
#include "http/http_tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/mem.h"
#include "http/http_conn.h"
#include "http/http_server.h"

#define PLAIN_BYTES (16 << 10) /* one record */

struct http_tls {
    SSL_CTX *ctx;
    char *cert, *key;
};

struct http_tls_conn {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
    int is_ready;
};

static int tls_err(struct err *e, enum err_code code, const char *what, const char *path)
{
    char text[256] = "unknown reason";
    unsigned long why = ERR_get_error();

    if (why)
        ERR_error_string_n(why, text, sizeof text);
    ERR_clear_error();
    return err_set(e, code, "TLS %s %s: %s", what, path, text);
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n_out,
                           const unsigned char *in, unsigned n_in, void *arg)
{
    static const unsigned char OURS[] = "\x08http/1.1";

    (void)ssl, (void)arg;
    if (SSL_select_next_proto((unsigned char **)(void *)out, n_out, OURS, sizeof OURS - 1, in,
                              n_in) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_ctx(const char *cert, const char *key, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL) {
        tls_err(e, ERR_NOMEM, "context", "");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"plastinka", 9);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        tls_err(e, ERR_IO, "certificate", cert);
        goto fail;
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
        tls_err(e, ERR_IO, "key", key);
        goto fail;
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        tls_err(e, ERR_INVALID, "key does not fit the certificate:", key);
        goto fail;
    }
    return ctx;
fail:
    SSL_CTX_free(ctx);
    return NULL;
}

struct http_tls *http_tls_open(const char *cert, const char *key, struct err *e)
{
    struct http_tls *t = mem_zero(1, sizeof *t);

    if (t == NULL || (t->cert = mem_dup(cert)) == NULL || (t->key = mem_dup(key)) == NULL) {
        err_set(e, ERR_NOMEM, "no memory for TLS");
    } else if ((t->ctx = make_ctx(cert, key, e)) != NULL) {
        return t;
    }
    http_tls_close(t);
    return NULL;
}

int http_tls_reload(struct http_tls *t, struct err *e)
{
    SSL_CTX *ctx = make_ctx(t->cert, t->key, e);

    if (ctx == NULL)
        return -1;
    SSL_CTX_free(t->ctx); /* connections hold their own reference */
    t->ctx = ctx;
    return 0;
}

void http_tls_close(struct http_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    mem_free(t->cert);
    mem_free(t->key);
    mem_free(t);
}

struct http_tls_conn *http_tls_new(struct http_tls *t)
{
    struct http_tls_conn *c = mem_zero(1, sizeof *c);

    if (c == NULL)
        return NULL;
    c->ssl = SSL_new(t->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    if (c->ssl == NULL || c->in == NULL || c->out == NULL) {
        BIO_free(c->in);
        BIO_free(c->out);
        SSL_free(c->ssl);
        mem_free(c);
        return NULL;
    }
    BIO_set_mem_eof_return(c->in, -1);
    BIO_set_mem_eof_return(c->out, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    SSL_set_accept_state(c->ssl);
    return c;
}

void http_tls_free(struct http_tls_conn *c)
{
    if (c == NULL)
        return;
    SSL_free(c->ssl);
    mem_free(c);
}

int http_tls_is_ready(const struct http_tls_conn *c)
{
    return c->is_ready;
}

/* Moves what OpenSSL wants to send behind c->out. */
static int collect(struct http_conn *c)
{
    size_t n = BIO_ctrl_pending(c->tls->out);

    if (n == 0)
        return 0;
    char *p = http_conn_room(c, n);
    if (p == NULL || BIO_read(c->tls->out, p, (int)n) != (int)n)
        return -1;
    c->out.len += n;
    return 0;
}

int http_tls_open_sealed(struct http_conn *c, const char *p, size_t n)
{
    static char plain[PLAIN_BYTES]; /* used up before the next read: loop thread only */
    struct http_tls_conn *t = c->tls;

    ERR_clear_error();
    if (BIO_write(t->in, p, (int)n) != (int)n)
        return -1;
    if (!t->is_ready) {
        int k = SSL_do_handshake(t->ssl);
        int why = k == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, k);
        if (k == 1)
            t->is_ready = 1;
        http_conn_flush(c); /* also the alert of a handshake that failed */
        if (c->state == CONN_CLOSING)
            return 0;
        if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ)
            return -1;
        if (!t->is_ready)
            return 0;
        c->since_ms = uv_now(c->server->loop);
    }
    for (;;) {
        int k = SSL_read(t->ssl, plain, sizeof plain);
        if (k <= 0) {
            int why = SSL_get_error(t->ssl, k);
            if (why == SSL_ERROR_WANT_READ)
                break;
            return -1; /* closed by the other side, or broken */
        }
        if (c->state == CONN_LINGER)
            continue;
        http_conn_feed(c, plain, (size_t)k);
        if (c->state == CONN_CLOSING)
            return 0;
    }
    http_conn_flush(c); /* what TLS itself has to say: tickets, key updates */
    return 0;
}

int http_tls_seal(struct http_conn *c)
{
    struct http_tls_conn *t = c->tls;
    struct buf text = c->out;

    if (text.len == 0)
        return collect(c);
    /* nothing of an application can be said before the handshake is over */
    if (!t->is_ready)
        return -1;
    c->out = (struct buf){ 0 };
    ERR_clear_error();
    int bad = collect(c);
    for (size_t at = 0; at < text.len && !bad;) {
        size_t n = text.len - at < (1 << 20) ? text.len - at : 1 << 20;
        int k = SSL_write(t->ssl, text.data + at, (int)n);
        if (k <= 0)
            bad = -1;
        else
            at += (size_t)k;
        if (!bad && BIO_ctrl_pending(t->out) > (1 << 20))
            bad = collect(c);
    }
    buf_deinit(&text);
    return bad ? -1 : collect(c);
}

void http_tls_goodbye(struct http_conn *c)
{
    ERR_clear_error();
    if (!c->tls->is_ready || SSL_shutdown(c->tls->ssl) < 0 || collect(c) != 0 || c->out.len == 0)
        return;
    uv_buf_t b = uv_buf_init(c->out.data, (unsigned)c->out.len);
    uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    buf_deinit(&c->out);
}
