#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "check.h"

static char text[3 << 20];

static size_t slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

    if (f)
        fclose(f);
    text[n] = 0;
    return n;
}

static void stuck_pipe(void)
{
    int p[2], saved = dup(2);
    char got[65536];
    ssize_t k;
    size_t lines = 0;

    CHECK_INT(pipe(p), 0);
    dup2(p[1], 2);
    CHECK_INT(log_open(NULL, NULL), 0);
    for (int i = 0; i < 20000; i++) /* 1.6 MB: more than pipe and buffer hold */
        LOG(LOG_INFO, "filler", LOG_S("text", "0123456789012345678901234567890"));
    CHECK(log_lost() > 0);
    uint64_t lost = log_lost();
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    for (int round = 0; round < 200; round++) {
        while ((k = read(p[0], got, sizeof got)) > 0)
            for (ssize_t i = 0; i < k; i++)
                lines += got[i] == '\n';
        LOG(LOG_INFO, "after", LOG_I("round", round));
        log_flush();
    }
    while ((k = read(p[0], got, sizeof got)) > 0)
        for (ssize_t i = 0; i < k; i++)
            lines += got[i] == '\n';
    CHECK_INT(lines, 20000 - lost + 200 + 1); /* one line tells what was lost */
    dup2(saved, 2);
    close(p[0]);
    close(p[1]);
    close(saved);
}

int main(void)
{
    char path[] = "/tmp/test_log.XXXXXX", out[64];
    struct err e;

    close(mkstemp(path));
    CHECK_INT(log_open("/nonexistent/dir/log", &e), -1);
    CHECK_INT(log_open(path, &e), 0);
    log_set_level(LOG_INFO);
    LOG(LOG_DEBUG, "not seen", LOG_I("n", 1));
    LOG(LOG_INFO, "upload \"x\"", LOG_S("file", "a\nb\\\x01\xff\xd0\xb6"), LOG_I("bytes", -5),
        LOG_N("ms", 1.5), LOG_N("bad", NAN), LOG_B("ok", 1), LOG_S("none", NULL),
        LOG_J("list", "[1]", 3));
    slurp(path);
    CHECK_STR(text, ""); /* nothing is written before a flush */
    log_flush();
    size_t n = slurp(path);
    CHECK(n > 40 && strncmp(text, "{\"time\":\"20", 11) == 0 && text[32] == 'Z');
    CHECK_STR(strchr(text, ',') ? strchr(text, ',') : "",
              ",\"level\":\"info\",\"event\":\"upload \\\"x\\\"\",\"file\":\"a\\nb\\\\\\u0001"
              "\xef\xbf\xbd\xd0\xb6\",\"bytes\":-5,\"ms\":1.5,\"bad\":null,\"ok\":true,"
              "\"list\":[1]}\n");
    static char big[100000];
    memset(big, 1, sizeof big);
    LOG(LOG_ERROR, "big", LOG_T("text", big, sizeof big), LOG_I("next", 1));
    size_t m = slurp(path);
    CHECK(m - n < LOG_LINE_MAX && m > n + 10000);
    CHECK(strstr(text + n, "\"cut\":true}\n") != NULL);
    memset(big, 'a', sizeof big);
    big[sizeof big - 1] = 0;
    LOG(LOG_ERROR, big, LOG_I("next", 1));
    CHECK_INT(log_escape(out, "\xed\xa0\x80", 3), 9); /* a surrogate is not UTF-8 */
    CHECK_INT(log_level_of("warn"), LOG_WARN);
    CHECK_INT(log_level_of("loud"), -1);
    log_close();
    stuck_pipe();
    unlink(path);
    return check_done();
}
