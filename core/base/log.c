/*
 * log.c - one event, one line of JSON. See log.h.
 *
 * One buffer behind one mutex. A regular file takes everything at once; anything else (pipe,
 * terminal, socket) is asked first and given whole lines of at most PIPE_BUF bytes together, which
 * a ready pipe takes without waiting and without mixing them with another process's lines.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 20)
#define FLUSH_BYTES (64 << 10) /* above it a line is not left waiting for the loop */
#define LAST_WAIT_MS 1000

static struct {
    pthread_mutex_t lock;
    int fd;
    int is_file; /* -1: not looked at yet */
    int own_fd;
    int is_cut; /* a file did not take the last line whole, ours or another process's */
    enum log_level level;
    size_t len;
    uint64_t lost, lost_told;
    char bytes[BUFFER_BYTES];
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = 2, .is_file = -1, .level = LOG_INFO };

static const char *const LEVELS[] = { "debug", "info", "warn", "error", "off" };

struct log_field log_text(const char *key, const char *text)
{
    return LOG_T(key, text, text ? strlen(text) : 0);
}

void log_set_level(enum log_level level)
{
    __atomic_store_n(&sink.level, level, __ATOMIC_RELAXED);
}

int log_on(enum log_level level)
{
    return level >= __atomic_load_n(&sink.level, __ATOMIC_RELAXED) && level < LOG_OFF;
}

int log_level_of(const char *name)
{
    for (int i = 0; i <= LOG_OFF; i++)
        if (strcmp(name, LEVELS[i]) == 0)
            return i;
    return -1;
}

const char *log_level_name(enum log_level level)
{
    return LEVELS[level];
}

int log_open(const char *path, struct err *e)
{
    int fd = 2;

    if (path != NULL) {
        fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640); /* read: see mend */
        if (fd < 0 && errno == EACCES)
            fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0)
            return err_errno(e, errno, "log file %s", path);
    }
    log_flush();
    pthread_mutex_lock(&sink.lock);
    if (sink.own_fd)
        close(sink.fd);
    sink.fd = fd;
    sink.own_fd = path != NULL;
    sink.is_file = -1;
    sink.is_cut = 0;
    pthread_mutex_unlock(&sink.lock);
    return 0;
}

void log_stamp(char to[24])
{
    static _Thread_local char text[25];
    static _Thread_local time_t second = -1;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != second) {
        struct tm tm;
        gmtime_r(&now.tv_sec, &tm);
        if (strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000Z", &tm) != 24)
            memcpy(text, "9999-12-31T23:59:59.999Z", 24);
        second = now.tv_sec;
    }
    int ms = (int)(now.tv_nsec / 1000000);
    text[20] = (char)('0' + ms / 100);
    text[21] = (char)('0' + ms / 10 % 10);
    text[22] = (char)('0' + ms % 10);
    memcpy(to, text, 24);
}

/* Length of the UTF-8 sequence at p (n >= 1 bytes left), 0 when it is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
    unsigned c = p[0];
    size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

size_t log_escape(char *to, const char *text, size_t n)
{
    static const char HEX[] = "0123456789abcdef";
    const unsigned char *p = (const unsigned char *)text;
    char *start = to;

    for (size_t i = 0; i < n;) {
        unsigned c = p[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *to++ = (char)c;
            i++;
        } else if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
            i++;
        } else if (c == '\n' || c == '\t') {
            *to++ = '\\';
            *to++ = c == '\n' ? 'n' : 't';
            i++;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(to, "\\u00", 4);
            to[4] = HEX[c >> 4];
            to[5] = HEX[c & 15];
            to += 6;
            i++;
        } else {
            size_t len = utf8_len(p + i, n - i);
            if (len == 0) {
                memcpy(to, "\xef\xbf\xbd", 3);
                to += 3;
                i++;
            } else {
                memcpy(to, p + i, len);
                to += len;
                i += len;
            }
        }
    }
    return (size_t)(to - start);
}

/* A sink that can never take it (closed pipe, full disk): loses what is behind `at` and counts. Locked. */
static void lose(size_t at)
{
    for (size_t i = at; i < sink.len; i++)
        sink.lost += sink.bytes[i] == '\n';
    sink.len = at;
    sink.is_cut = sink.is_file;
}

/*
 * After a full disk the file may end in half a line: what comes next begins on a line of its own. Its end is
 * looked at, where that is allowed: others may have mended it. Locked.
 */
static int mend(void)
{
    struct stat st;
    char last = '\0';

    if (fstat(sink.fd, &st) == 0 && st.st_size > 0 && pread(sink.fd, &last, 1, st.st_size - 1) != 1)
        last = '\0';
    if (last != '\n' && st.st_size > 0 && write(sink.fd, "\n", 1) != 1)
        return -1;
    sink.is_cut = 0;
    return 0;
}

/* Gives the sink what it takes now. Locked. */
static void drain(int wait_ms)
{
    size_t at = 0;

    if (sink.is_file < 0) {
        struct stat st;
        sink.is_file = fstat(sink.fd, &st) == 0 && S_ISREG(st.st_mode);
    }
    if (sink.is_cut && sink.len > 0 && mend() != 0)
        lose(0);
    while (at < sink.len) {
        size_t n = sink.len - at;
        if (!sink.is_file) {
            struct pollfd p = { .fd = sink.fd, .events = POLLOUT };
            if (n > PIPE_BUF) { /* whole lines; one that is longer goes in pieces */
                char *nl = memrchr(sink.bytes + at, '\n', PIPE_BUF);
                n = nl ? (size_t)(nl - (sink.bytes + at)) + 1 : PIPE_BUF;
            }
            if (poll(&p, 1, wait_ms) != 1)
                break;
        }
        ssize_t k = write(sink.fd, sink.bytes + at, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            if (errno != EAGAIN)
                lose(at);
            break;
        }
        at += (size_t)k;
    }
    memmove(sink.bytes, sink.bytes + at, sink.len - at);
    sink.len -= at;
}

static void tell_lost(void)
{
    if (sink.lost == sink.lost_told || sizeof sink.bytes - sink.len < 256)
        return;
    char stamp[24];
    log_stamp(stamp);
    int n = snprintf(sink.bytes + sink.len, 256,
                     "{\"time\":\"%.24s\",\"level\":\"warn\",\"event\":\"log lines lost\","
                     "\"lines\":%llu}\n",
                     stamp, (unsigned long long)(sink.lost - sink.lost_told));
    sink.len += (size_t)n;
    sink.lost_told = sink.lost;
}

char *log_begin(size_t bytes)
{
    pthread_mutex_lock(&sink.lock);
    if (sizeof sink.bytes - sink.len < bytes + 256)
        drain(0);
    if (sizeof sink.bytes - sink.len < bytes + 256) {
        sink.lost++;
        pthread_mutex_unlock(&sink.lock);
        return NULL;
    }
    tell_lost();
    return sink.bytes + sink.len;
}

void log_end(size_t bytes)
{
    sink.len += bytes;
    if (sink.len >= FLUSH_BYTES)
        drain(0);
    pthread_mutex_unlock(&sink.lock);
}

void log_flush(void)
{
    pthread_mutex_lock(&sink.lock);
    if (sink.len > 0)
        drain(0);
    pthread_mutex_unlock(&sink.lock);
}

void log_close(void)
{
    pthread_mutex_lock(&sink.lock);
    tell_lost();
    drain(LAST_WAIT_MS);
    if (sink.own_fd)
        close(sink.fd);
    sink.fd = 2;
    sink.own_fd = 0;
    sink.is_file = -1;
    pthread_mutex_unlock(&sink.lock);
}

uint64_t log_lost(void)
{
    pthread_mutex_lock(&sink.lock);
    uint64_t n = sink.lost;
    pthread_mutex_unlock(&sink.lock);
    return n;
}

/* Bytes a field may take at most, its comma and key included. */
static size_t field_max(const struct log_field *f)
{
    size_t n = strlen(f->key) + 8;

    if (f->kind == LOG_KIND_TEXT)
        return n + 6 * f->n_bytes;
    if (f->kind == LOG_KIND_JSON)
        return n + f->n_bytes;
    return n + 32;
}

static char *put(char *p, const char *text)
{
    size_t n = strlen(text);

    memcpy(p, text, n);
    return p + n;
}

static char *put_field(char *p, const struct log_field *f)
{
    p = put(p, ",\"");
    p = put(p, f->key);
    p = put(p, "\":");
    switch (f->kind) {
    case LOG_KIND_TEXT:
        *p++ = '"';
        p += log_escape(p, f->text, f->n_bytes);
        *p++ = '"';
        break;
    case LOG_KIND_INT:
        p += snprintf(p, 32, "%lld", (long long)f->number);
        break;
    case LOG_KIND_NUM:
        p = isfinite(f->real) ? p + snprintf(p, 32, "%.9g", f->real) : put(p, "null");
        break;
    case LOG_KIND_BOOL:
        p = put(p, f->number ? "true" : "false");
        break;
    case LOG_KIND_JSON:
        memcpy(p, f->text, f->n_bytes);
        p += f->n_bytes;
        break;
    }
    return p;
}

void log_event(enum log_level level, const char *event, const struct log_field *f, size_t n)
{
    size_t n_event = strnlen(event, LOG_LINE_MAX / 12);
    char *start = log_on(level) ? log_begin(LOG_LINE_MAX) : NULL;
    char *p = start;
    int cut = 0;

    if (p == NULL)
        return;
    p = put(p, "{\"time\":\"");
    log_stamp(p);
    p = put(p + 24, "\",\"level\":\"");
    p = put(p, LEVELS[level]);
    p = put(p, "\",\"event\":\"");
    p += log_escape(p, event, n_event);
    *p++ = '"';
    for (size_t i = 0; i < n; i++) {
        int is_text = f[i].kind == LOG_KIND_TEXT || f[i].kind == LOG_KIND_JSON;
        if (is_text && f[i].text == NULL)
            continue;
        if (field_max(&f[i]) > LOG_LINE_MAX - 32 - (size_t)(p - start)) {
            /* a long text may still fit: most bytes stay one byte */
            struct log_field part = f[i];
            size_t room = LOG_LINE_MAX - 64 - (size_t)(p - start);
            cut = 1;
            if (part.kind != LOG_KIND_TEXT || room < strlen(part.key) + 64)
                continue;
            part.n_bytes = (room - strlen(part.key)) / 6;
            if (part.n_bytes > f[i].n_bytes)
                part.n_bytes = f[i].n_bytes;
            p = put_field(p, &part);
            continue;
        }
        p = put_field(p, &f[i]);
    }
    p = put(p, cut ? ",\"cut\":true}\n" : "}\n");
    log_end((size_t)(p - start));
    if (level >= LOG_ERROR) /* an error may be the last thing this process says */
        log_flush();
}
