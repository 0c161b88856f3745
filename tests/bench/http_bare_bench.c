/*
 * The limit for an HTTP server on libuv: reads until a blank line, answers with constant bytes, parses
 * nothing. `http_bare_bench PORT`; prints where it listens, ends by a signal.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 17\r\n\r\n{\"hello\":\"world\"}";

static void on_closed(uv_handle_t *h)
{
    free(h);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
    static char room[65536];

    (void)h, (void)hint;
    *b = uv_buf_init(room, sizeof room);
}

static void on_read(uv_stream_t *c, ssize_t n, const uv_buf_t *b)
{
    uv_buf_t out = uv_buf_init((char *)(size_t)ANSWER, sizeof ANSWER - 1);

    if (n < 0)
        uv_close((uv_handle_t *)c, on_closed);
    else if (n >= 4 && memcmp(b->base + n - 4, "\r\n\r\n", 4) == 0)
        uv_try_write(c, &out, 1);
}

static void on_connection(uv_stream_t *s, int status)
{
    uv_tcp_t *c = status == 0 ? malloc(sizeof *c) : NULL;

    if (c == NULL)
        return;
    uv_tcp_init(s->loop, c);
    if (uv_accept(s, (uv_stream_t *)c) != 0 ||
        uv_read_start((uv_stream_t *)c, on_alloc, on_read) != 0)
        uv_close((uv_handle_t *)c, on_closed);
    else
        uv_tcp_nodelay(c, 1);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in a;
    uv_tcp_t s;
    int n = sizeof a;

    signal(SIGPIPE, SIG_IGN);
    uv_ip4_addr("127.0.0.1", argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0, &a);
    uv_tcp_init(loop, &s);
    if (uv_tcp_bind(&s, (struct sockaddr *)&a, 0) != 0 ||
        uv_listen((uv_stream_t *)&s, 1024, on_connection) != 0)
        return 1;
    uv_tcp_getsockname(&s, (struct sockaddr *)&a, &n);
    printf("listening 127.0.0.1 %d\n", (a.sin_port >> 8 | a.sin_port << 8) & 0xffff);
    fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
