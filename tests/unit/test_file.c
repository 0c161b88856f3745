#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "check.h"

static char top[] = "/tmp/file_test_XXXXXX";
static struct file_roots *r;

static const char *in_top(const char *name)
{
    static char path[4][300];
    static int i;

    snprintf(path[++i & 3], sizeof path[0], "%s/%s", top, name);
    return path[i & 3];
}

static const char *content(const char *path)
{
    static struct buf b;
    struct err e;

    buf_deinit(&b);
    buf_init(&b, 1 << 20);
    if (file_read(r, path, 1000, &b, &e) != 0)
        return err_name(e.code);
    return buf_text(&b, &e);
}

static void escapes(void)
{
    static const char *const paths[] = { "../x", "a/../../x", "/etc/passwd", "out/secret", "out",
                                         "deep/link/secret", "a/..", "/", "hole", "fifo" };
    struct err e;
    struct file_info info;
    struct buf b;

    buf_init(&b, 1000);
    CHECK_INT(symlink("/etc", in_top("data/out")), 0);
    CHECK_INT(mkdir(in_top("data/deep"), 0755), 0);
    CHECK_INT(symlink(in_top("outside"), in_top("data/deep/link")), 0);
    CHECK_INT(symlink("/etc/hostname", in_top("data/hole")), 0);
    CHECK_INT(mkfifo(in_top("data/fifo"), 0644), 0);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        CHECK_INT(file_read(r, paths[i], 1000, &b, &e), -1);
        CHECK_INT(file_write(r, strcmp(paths[i], "hole") && strcmp(paths[i], "fifo") &&
                             strcmp(paths[i], "out") ? paths[i] : "out/x", "x", 1, 0, &e), -1);
        CHECK_INT(file_append(r, paths[i], "x", 1, &e), -1);
        CHECK(e.code == ERR_AUTH || e.code == ERR_INVALID || e.code == ERR_NOTFOUND || e.code == ERR_IO);
        CHECK_INT(file_rename(r, "deep", paths[i], &e) == 0 && i != 4 && i < 8, 0);
    }
    CHECK_INT(file_read(r, in_top("outside/secret"), 1000, &b, &e), -1);
    CHECK_INT(e.code, ERR_AUTH);
    /* a name that only begins like the root */
    CHECK_INT(mkdir(in_top("data2"), 0755), 0);
    CHECK_INT(file_write(r, in_top("data2/x"), "x", 1, 0, &e), -1);
    CHECK_INT(e.code, ERR_AUTH);
    CHECK_INT(file_stat(r, "out/passwd", &info, &e), -1);
    CHECK_INT(b.len, 0);
}

static void reading_and_writing(void)
{
    struct err e;
    struct file_info info;
    struct file_list l;
    uint64_t n;
    char name[200];

    CHECK_INT(file_write(r, "a.txt", "hello", 5, 0, &e), 0);
    CHECK_STR(content("a.txt"), "hello");
    CHECK_STR(content(in_top("data/a.txt")), "hello");
    CHECK_STR(content("./a.txt"), "hello");
    CHECK_INT(file_write(r, "a.txt", "other", 5, 1, &e), -1);
    CHECK_INT(e.code, ERR_EXISTS);
    CHECK_INT(file_write(r, "new.txt", "new", 3, 1, &e), 0);
    CHECK_STR(content("new.txt"), "new");
    CHECK_INT(file_append(r, "a.txt", " you", 4, &e), 0);
    CHECK_STR(content("a.txt"), "hello you");
    CHECK_INT(file_stat(r, "a.txt", &info, &e), 0);
    CHECK_INT(info.bytes, 9);
    CHECK_INT(info.kind, 'f');
    CHECK_INT(info.mode & 07, 0);
    CHECK_STR(content("missing"), "notfound");
    CHECK_STR(content("a.txt/b"), "notfound");
    CHECK_INT(file_mkdir(r, "x/y/z", &e), 0);
    CHECK_INT(file_mkdir(r, "x/y/z", &e), 0);
    CHECK_INT(file_mkdir(r, in_top("data/x/y/w"), &e), 0);
    CHECK_INT(file_mkdir(r, "a.txt/b", &e), -1);
    CHECK_INT(file_mkdir(r, in_top("elsewhere"), &e), -1);
    CHECK_INT(file_copy(r, "a.txt", "x/y/z/b.txt", &n, &e), 0);
    CHECK_INT(n, 9);
    CHECK_STR(content("x/y/z/b.txt"), "hello you");
    CHECK_INT(file_rename(r, "x/y/z/b.txt", "x/c.txt", &e), 0);
    CHECK_STR(content("x/y/z/b.txt"), "notfound");
    CHECK_INT(file_list(r, "x", &l, &e), 0);
    CHECK_INT(l.n, 2);
    CHECK_STR(l.items[0].name, "c.txt");
    CHECK_INT(l.items[1].info.kind, 'd');
    file_list_free(&l);
    CHECK_INT(file_list(r, "a.txt", &l, &e), -1);
    CHECK_INT(file_remove(r, "x", 0, &e), -1);
    CHECK_INT(e.code, ERR_EXISTS);
    CHECK_INT(file_remove(r, "x/y/w", 0, &e), 0);
    CHECK_INT(file_remove(r, "x", 1, &e), 0);
    CHECK_INT(file_stat(r, "x", &info, &e), -1);
    CHECK_INT(file_remove(r, ".", 1, &e), -1);
    CHECK_INT(file_remove(r, in_top("data"), 1, &e), -1);
    CHECK_INT(file_remove(r, "out", 1, &e), 0); /* the link, not what it points to */
    CHECK_INT(access("/etc/passwd", F_OK), 0);
    CHECK_INT(file_temp(r, "", "up-", name, sizeof name, &e), 0);
    CHECK_INT(strlen(name), 27);
    CHECK_STR(content(name), "");
    CHECK_INT(file_temp(r, "", "../", name, sizeof name, &e), -1);
    char big[2000] = "";
    CHECK_INT(file_write(r, "big", big, sizeof big, 0, &e), 0);
    CHECK_STR(content("big"), "limit");
    CHECK_INT(file_write(r, in_top("ro/x"), "x", 1, 0, &e), -1); /* a root for reading */
    CHECK_INT(e.code, ERR_AUTH);
    CHECK_STR(content(in_top("ro/seen")), "seen");
}

/* What is there stays whole when the disk is full. */
static void full(void)
{
    struct rlimit old, tiny = { 100, 100 };
    struct err e;
    struct file_list l;
    char big[1000] = "";

    CHECK_INT(file_write(r, "keep", "keep", 4, 0, &e), 0);
    getrlimit(RLIMIT_FSIZE, &old);
    tiny.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &tiny);
    CHECK_INT(file_write(r, "keep", big, sizeof big, 0, &e), -1);
    CHECK_INT(e.code, ERR_LIMIT);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_STR(content("keep"), "keep");
    CHECK_INT(file_list(r, "", &l, &e), 0);
    for (size_t i = 0; i < l.n; i++)
        CHECK(strstr(l.items[i].name, ".part") == NULL);
    file_list_free(&l);
}

int main(void)
{
    struct err e;

    CHECK(mkdtemp(top) != NULL);
    CHECK_INT(mkdir(in_top("data"), 0755), 0);
    CHECK_INT(mkdir(in_top("ro"), 0755), 0);
    CHECK_INT(mkdir(in_top("outside"), 0755), 0);
    FILE *f = fopen(in_top("ro/seen"), "w");
    fputs("seen", f);
    fclose(f);
    r = file_roots_new();
    CHECK_STR(content("x"), "auth"); /* no roots yet: nothing */
    CHECK_INT(file_roots_add(r, in_top("data"), 1, &e), 0);
    CHECK_INT(file_roots_add(r, in_top("ro"), 0, &e), 0);
    CHECK_INT(file_roots_add(r, in_top("none"), 0, &e), -1);
    escapes();
    reading_and_writing();
    full();
    for (size_t n = 1; n < 20; n++) {
        struct file_list l;
        mem_fail_at(n);
        if (file_list(r, "", &l, &e) == 0)
            file_list_free(&l);
        mem_fail_at(0);
    }
    file_roots_free(r);
    r = file_roots_new();
    CHECK_INT(file_roots_add(r, "/tmp", 1, &e), 0);
    CHECK_INT(file_remove(r, top, 1, &e), 0);
    file_roots_free(r);
    r = file_roots_new();
    content("x"); /* frees the last buffer */
    file_roots_free(r);
    return check_done();
}
