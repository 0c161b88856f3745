/*
 * demo.c - plastinka demo: a server of its own on a fresh data folder, and lua/cli/demo.lua that talks to
 * it as any client would.
 *
 * The server is a child process; it ends with us, however we end. Its key and its port are read from
 * what it prints at its first start. Its log goes to logs/serve.log of the data folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/conf.h"
#include "bind/bind_fs.h"
#include "role/boot.h"
#include "role/datadir.h"
#include "role/role.h"

#define WORDS_MAX 64

struct demo {
    char data[4096], folder[4096], log[4200];
    int with_exit;
    char *words[WORDS_MAX + 4]; /* of the server: "serve", settings, NULL */
    int n_words;
    pid_t child;
    int out; /* what the server prints */
    char host[512], port[512], key[512];
};

static int usage(FILE *to, int code)
{
    fputs("usage: plastinka demo [DIR] [--exit] [--port N] [--data DIR] [--SETTING VALUE ...]\n\n"
          "Serves a fresh data folder, uploads DIR/stock.xlsx and DIR/sales/*.xlsx (without DIR the books of a\n"
          "made-up record shop), trains, forecasts, writes the reports and says where to look. Then the server\n"
          "goes on until Ctrl-C; with --exit it is stopped.\n", to);
    return code;
}

static int has_flag(int argc, char **argv, const char *flag)
{
    size_t n = strlen(flag);

    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], flag, n) == 0 && (argv[i][n] == '\0' || argv[i][n] == '='))
            return 1;
    return 0;
}

/* Of this person: the reports are to be read at once. */
static int reads_russian(void)
{
    static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && text[0] != '\0')
            return strncmp(text, "ru", 2) == 0;
    }
    return 0;
}

/* The settings go to the server as they came; DIR and --exit are ours. -1: e says what is wrong. */
static int take_arguments(struct demo *d, int argc, char **argv, struct err *e)
{
    static char data_flag[] = "--data", serve[] = "serve", language[] = "--language", ru[] = "ru", en[] = "en";
    char *mine[WORDS_MAX];
    int n_mine;

    if (argc > WORDS_MAX - 6)
        return err_set(e, ERR_INVALID, "more than %d arguments", WORDS_MAX - 6);
    d->words[d->n_words++] = serve;
    memcpy(mine, argv, (size_t)argc * sizeof *argv);
    n_mine = argc;
    if (!has_flag(argc, argv, "--data") && !has_flag(argc, argv, "--data-root-dir")) {
        const char *tmp = getenv("TMPDIR");
        snprintf(d->data, sizeof d->data, "%s/plastinka-demo-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
        if (mkdtemp(d->data) == NULL)
            return err_errno(e, errno, "cannot make the folder %s", d->data);
        mine[n_mine++] = data_flag;
        mine[n_mine++] = d->data;
    }
    char *all[WORDS_MAX];
    int n_all = n_mine;
    memcpy(all, mine, (size_t)n_mine * sizeof *mine);
    if (boot_settings(&n_mine, mine, e) != 0)
        return -1;
    for (int i = 0, k = 0; i < n_all; i++) { /* what was not taken out stays in order */
        if (k < n_mine && mine[k] == all[i])
            k++;
        else
            d->words[d->n_words++] = all[i];
    }
    const struct conf_def *def = conf_find("language");
    if (def != NULL && conf_origin(def) == CONF_DEFAULT) {
        d->words[d->n_words++] = language;
        d->words[d->n_words++] = reads_russian() ? ru : en;
    }
    for (int i = 0; i < n_mine; i++) {
        if (strcmp(mine[i], "--exit") == 0)
            d->with_exit = 1;
        else if (mine[i][0] == '-' || d->folder[0] != '\0')
            return err_set(e, ERR_INVALID, "%s is not understood", mine[i]);
        else if (realpath(mine[i], d->folder) == NULL)
            return err_errno(e, errno, "cannot use the folder %s", mine[i]);
    }
    return 0;
}

static int prepare_folder(struct demo *d, struct err *e)
{
    char path[4096];
    struct stat st;

    snprintf(d->data, sizeof d->data, "%s", conf_text("data_root_dir"));
    if (datadir_path(path, sizeof path, "database/plastinka.db", e) != 0)
        return -1;
    if (stat(path, &st) == 0)
        return err_set(e, ERR_EXISTS, "the data folder %s is in use; the demo wants a fresh one", d->data);
    snprintf(d->log, sizeof d->log, "%s/logs/serve.log", d->data);
    return datadir_make(e);
}

static void become_server(struct demo *d, int out, int log, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    unsetenv("API_X_API_KEY_HASH"); /* with keys of settings none would be printed */
    unsetenv("API_ADMIN_API_KEY_HASH");
    dup2(out, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    d->words[d->n_words] = NULL;
    char *argv[WORDS_MAX + 6];
    argv[0] = (char[]){ "plastinka" };
    memcpy(argv + 1, d->words, (size_t)(d->n_words + 1) * sizeof *argv);
    execv("/proc/self/exe", argv);
    fprintf(stderr, "plastinka demo: cannot run /proc/self/exe: %s\n", strerror(errno));
    _exit(127);
}

/* What the server wrote before it gave up, to people. */
static void show_log(const struct demo *d)
{
    char line[2000];
    FILE *f = fopen(d->log, "r");
    int is_taken = 0;

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        fputs(line, stderr);
        is_taken = is_taken || strstr(line, "cannot listen") != NULL;
    }
    if (f != NULL)
        fclose(f);
    if (is_taken)
        fprintf(stderr, "plastinka demo: the port %d is taken; end what listens there, or say --port N\n",
                (int)conf_int("http_port"));
}

static int start_server(struct demo *d, struct err *e)
{
    int ends[2];
    pid_t parent = getpid();
    int log = open(d->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (log < 0)
        return err_errno(e, errno, "cannot write %s", d->log);
    if (pipe2(ends, O_CLOEXEC) != 0 || (d->child = fork()) < 0) {
        close(log);
        return err_errno(e, errno, "cannot start the server");
    }
    if (d->child == 0)
        become_server(d, ends[1], log, parent);
    close(ends[1]);
    close(log);
    d->out = ends[0];
    return 0;
}

/* Reads until the server says where it listens. -1: it ended instead. */
static int wait_for_server(struct demo *d)
{
    char line[512];
    size_t n = 0;
    char c;

    while (read(d->out, &c, 1) == 1) {
        if (c != '\n' && n < sizeof line - 1) {
            line[n++] = c;
            continue;
        }
        line[n] = '\0';
        n = 0;
        char *last = strrchr(line, ' ');
        if (strncmp(line, "admin key", 9) == 0 && last != NULL)
            snprintf(d->key, sizeof d->key, "%s", last + 1);
        char *colon = strrchr(line, ':');
        if (strncmp(line, "listening ", 10) == 0 && colon != NULL) {
            snprintf(d->port, sizeof d->port, "%s", colon + 1);
            *colon = '\0';
            snprintf(d->host, sizeof d->host, "%s", line + 10);
            return 0;
        }
    }
    return -1;
}

static void stop_server(struct demo *d)
{
    if (d->child > 0)
        kill(d->child, SIGTERM);
    while (d->child > 0 && waitpid(d->child, NULL, 0) < 0 && errno == EINTR)
        ;
    d->child = 0;
}

/* Until somebody stops us, or the server ends by itself. */
static void stay(struct demo *d)
{
    sigset_t set;
    int signum;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    do {
        if (waitpid(d->child, NULL, WNOHANG) == d->child) {
            fputs("plastinka demo: the server has ended\n", stderr);
            d->child = 0;
            return;
        }
        signum = sigwaitinfo(&set, NULL);
    } while (signum != SIGINT && signum != SIGTERM);
}

static int talk(struct demo *d)
{
    static char yes[] = "exit", no[] = "stay";
    char *argv[] = { d->host, d->port, d->key, d->data, d->folder, d->with_exit ? yes : no };
    struct boot b;
    struct err e;

    if (boot_open(&b, &e) != 0 || bind_fs_allow(d->data, 1, &e) != 0 ||
        (d->folder[0] != '\0' && bind_fs_allow(d->folder, 0, &e) != 0)) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        b.code = 1;
        return boot_close(&b);
    }
    boot_main(&b, "cli.demo", (int)(sizeof argv / sizeof *argv), argv);
    return boot_close(&b);
}

int role_demo(int argc, char **argv)
{
    struct demo d = { .out = -1 };
    struct err e;

    if (has_flag(argc, argv, "--help"))
        return usage(stdout, 0);
    if (take_arguments(&d, argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka demo: %s\n\n", e.text);
        if (d.data[0] != '\0')
            rmdir(d.data); /* made for nothing */
        return usage(stderr, 2);
    }
    if (prepare_folder(&d, &e) != 0 || start_server(&d, &e) != 0) {
        fprintf(stderr, "plastinka demo: %s\n", e.text);
        return 1;
    }
    int code = 1;
    if (wait_for_server(&d) != 0)
        show_log(&d);
    else if ((code = talk(&d)) == 0 && !d.with_exit)
        stay(&d);
    stop_server(&d);
    close(d.out);
    return code;
}
