/*
 * check.c - plastinka check: is everything there that the server needs? Prints a table; exit code 1
 * when a row is bad. Settings, folders, libraries and certificates here, without Lua; database and
 * workflows in lua/cli/check.lua.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <lua.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sqlite3.h>
#include <uv.h>

#include "base/buf.h"
#include "base/conf.h"
#include "role/boot.h"
#include "role/datadir.h"
#include "role/listen.h"
#include "role/role.h"

#define FREE_MIN_BYTES ((uint64_t)1 << 30)
#define FILES_MIN 1024
#define PRINT_MAX_BYTES ((size_t)1 << 20)

static int n_bad;

static void row(int ok, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void row(int ok, const char *what, const char *fmt, ...)
{
    va_list ap;

    n_bad += !ok;
    printf("%-5s %-14s ", ok ? "ok" : "BAD", what);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void check_settings(void)
{
    size_t n_set = 0;

    for (size_t i = 0; i < conf_count(); i++)
        n_set += conf_origin(conf_at(i)) != CONF_DEFAULT;
    row(1, "settings", "%zu known, %zu changed (plastinka check --settings)", conf_count(), n_set);
}

static void check_folder(void)
{
    const char *dir = conf_text("data_root_dir");
    struct statvfs fs;
    struct stat st;
    struct err e;
    char path[4096];

    if (datadir_make(&e) != 0) {
        row(0, "data folder", "%s", e.text);
        return;
    }
    snprintf(path, sizeof path, "%s/.check.%d", dir, (int)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) != 0) {
        row(0, "data folder", "%s cannot be written: %s", dir, strerror(errno));
    } else if (stat(dir, &st) == 0 && (st.st_mode & 077) != 0) {
        row(0, "data folder", "%s is open to other users (mode %03o), expected 700", dir,
            (unsigned)st.st_mode & 0777);
    } else {
        row(1, "data folder", "%s, writable, for this user only", dir);
    }
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    if (statvfs(dir, &fs) == 0) {
        uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
        row(left >= FREE_MIN_BYTES, "disk", "%.1f GiB free%s", (double)left / (1 << 30),
            left >= FREE_MIN_BYTES ? "" : ", expected at least 1 GiB");
    }
}

static void check_tls(void)
{
    const char *cert = conf_text("http_tls_cert"), *key = conf_text("http_tls_key");
    SSL_CTX *ctx;

    if (cert[0] == '\0' && key[0] == '\0') {
        row(1, "tls", "off");
        return;
    }
    ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1) {
        row(0, "tls", "certificate %s: %s", cert[0] ? cert : "(http_tls_cert is empty)",
            ERR_reason_error_string(ERR_peek_last_error()));
    } else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(ctx) != 1) {
        row(0, "tls", "private key %s: %s", key[0] ? key : "(http_tls_key is empty)",
            ERR_reason_error_string(ERR_peek_last_error()));
    } else {
        int days = 0, seconds = 0;
        const X509 *x = SSL_CTX_get0_certificate(ctx);
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
        row(days >= 0 && seconds >= 0, "tls", "%s, %s %d days", cert,
            days >= 0 && seconds >= 0 ? "valid for" : "expired for", days < 0 ? -days : days);
    }
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

static void check_port(void)
{
    struct listen_set s;
    struct err e;
    char answer[64];

    if (datadir_ask("status", answer, sizeof answer, &e) == 0) {
        row(1, "port", "%d, a server is running on this data folder",
            (int)conf_int("http_port"));
    } else if (listen_open(&s, conf_text("http_host"), (int)conf_int("http_port"), 1, &e) == 0) {
        row(1, "port", "%s port %d is free", conf_text("http_host"), (int)conf_int("http_port"));
        listen_close(&s);
    } else {
        row(0, "port", "%s", e.text);
    }
}

static void check_machine(void)
{
    struct rlimit files;

    row(1, "libraries", "%s, SQLite %s, libuv %s, %s, curl %s", LUA_RELEASE, sqlite3_libversion(),
        uv_version_string(), OpenSSL_version(OPENSSL_VERSION), curl_version_info(CURLVERSION_NOW)->version);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        row(files.rlim_max >= FILES_MIN, "open files", "up to %llu%s",
            (unsigned long long)files.rlim_max,
            files.rlim_max >= FILES_MIN ? "" : ", expected at least 1024 (ulimit -n)");
}

static int print_settings(void)
{
    struct buf b;
    struct err e;
    int status;

    buf_init(&b, PRINT_MAX_BYTES);
    status = conf_print(&b, &e);
    if (status == 0)
        fwrite(b.data, 1, b.len, stdout);
    else
        fprintf(stderr, "plastinka check: %s\n", e.text);
    buf_deinit(&b);
    return status != 0;
}

static int write_template(const char *path)
{
    struct buf b;
    struct err e;
    int status = 1;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        fprintf(stderr, "plastinka check: %s: %s\n", path,
                errno == EEXIST ? "is there already, and is not overwritten" : strerror(errno));
        return 1;
    }
    buf_init(&b, PRINT_MAX_BYTES);
    if (conf_template(&b, &e) != 0)
        fprintf(stderr, "plastinka check: %s\n", e.text);
    else if (write(fd, b.data, b.len) != (ssize_t)b.len)
        fprintf(stderr, "plastinka check: %s: %s\n", path, strerror(errno));
    else
        status = 0;
    close(fd);
    buf_deinit(&b);
    if (status == 0)
        printf("wrote %s\n", path);
    return status;
}

static int check_workflows(int argc, char **argv)
{
    struct boot b;
    struct err e;

    if (boot_open(&b, &e) != 0) {
        row(0, "program", "%s", e.text);
        b.code = 1;
        return boot_close(&b);
    }
    if (boot_database(&b, &e) != 0)
        row(0, "database", "%s", e.text);
    boot_main(&b, "cli.check", argc, argv);
    return boot_close(&b);
}

int role_check(int argc, char **argv)
{
    const char *template = NULL;
    int settings = 0;
    struct err e;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            puts("usage: plastinka check [--settings] [--template FILE] [--SETTING VALUE ...]\n\n"
                 "Checks settings, folders, libraries, certificates, database and workflows; exit\n"
                 "code 1 when something is wrong.\n\n"
                 "  --settings       print every setting, its value, where it came from, its meaning\n"
                 "  --template FILE  write a commented .env of every setting (never overwrites)");
            return 0;
        }
    }
    if (boot_settings(&argc, argv, &e) != 0) {
        row(0, "settings", "%s", e.text);
        return 1;
    }
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--settings") == 0) {
            settings = 1;
        } else if (strcmp(argv[i], "--template") == 0 && i + 1 < argc) {
            template = argv[++i];
        } else {
            fprintf(stderr, "plastinka check: unknown argument %s (see --help)\n", argv[i]);
            return 2;
        }
    }
    if (settings)
        return print_settings();
    if (template != NULL)
        return write_template(template);
    check_settings();
    check_folder();
    check_machine();
    check_tls();
    check_port();
    fflush(stdout);
    n_bad += check_workflows(0, argv);
    printf("%s\n", n_bad ? "not ready" : "ready");
    return n_bad != 0;
}
