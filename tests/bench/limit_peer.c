/*
 * limit_peer.c - the limit to measure the server against: bare libuv and llhttp, one constant
 * answer, no routing, no log, no limits. limit_peer PORT listens at 127.0.0.1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>
#include <uv.h>

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 17\r\n\r\n{\"hello\":\"world\"}";

struct peer {
    uv_tcp_t tcp;
    llhttp_t parser;
    char in[65536];
    int n_answers;
};

static llhttp_settings_t settings;

static int on_complete(llhttp_t *p)
{
    ((struct peer *)p->data)->n_answers++;
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    struct peer *c = h->data;

    (void)hint;
    *b = uv_buf_init(c->in, sizeof c->in);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct peer *c = s->data;
    uv_buf_t out = uv_buf_init((char *)ANSWER, sizeof ANSWER - 1);

    if (n < 0 || llhttp_execute(&c->parser, b->base, (size_t)n) != HPE_OK) {
        uv_close((uv_handle_t *)s, on_closed);
        return;
    }
    for (; c->n_answers > 0; c->n_answers--)
        uv_try_write(s, &out, 1);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct peer *c = status == 0 ? calloc(1, sizeof *c) : NULL;

    if (c == NULL)
        return;
    uv_tcp_init(server->loop, &c->tcp);
    c->tcp.data = c;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    uv_accept(server, (uv_stream_t *)&c->tcp);
    uv_tcp_nodelay(&c->tcp, 1);
    uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in at;
    uv_tcp_t server;

    llhttp_settings_init(&settings);
    settings.on_message_complete = on_complete;
    uv_ip4_addr("127.0.0.1", argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0, &at);
    uv_tcp_init(loop, &server);
    if (uv_tcp_bind(&server, (struct sockaddr *)&at, 0) != 0 ||
        uv_listen((uv_stream_t *)&server, 1024, on_connection) != 0) {
        fprintf(stderr, "cannot listen\n");
        return 1;
    }
    return uv_run(loop, UV_RUN_DEFAULT);
}
