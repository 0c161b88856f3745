/*
 * db_backup.c - online backup; see the header.
 */
#include "db/db_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "db/db_state.h"

static void end(struct db_hold *h, struct db_conn *c)
{
    struct db_backup *b = (struct db_backup *)h;

    if (b->to == NULL)
        return;
    sqlite3_backup_finish(b->copy);
    sqlite3_close_v2(b->to);
    b->copy = NULL;
    b->to = NULL;
    if (!sqlite3_get_autocommit(c->db))
        db_conn_own(c, "ROLLBACK", NULL); /* the snapshot */
    if (!b->is_complete)
        unlink(b->part);
}

static void release(struct db_hold *h)
{
    struct db_backup *b = (struct db_backup *)h;

    db_req_deinit(&h->req);
    mem_free(b->path);
    mem_free(b->part);
    mem_free(b);
}

int db_backup_new(struct db_backup **out, struct db *db, const char *path, struct err *e)
{
    struct db_backup *b;
    size_t bytes = strlen(path);

    *out = NULL;
    if (db->is_memory)
        return err_set(e, ERR_UNSUPPORTED, "a database in memory has no backup");
    b = mem_zero(1, sizeof *b);
    if (b == NULL || (b->path = mem_dup(path)) == NULL || (b->part = mem_alloc(bytes + 6)) == NULL) {
        if (b != NULL)
            mem_free(b->path);
        mem_free(b);
        return err_set(e, ERR_NOMEM, "no memory for a backup");
    }
    memcpy(b->part, path, bytes);
    memcpy(b->part + bytes, ".part", 6);
    b->hold.end = end;
    b->hold.release = release;
    if (db_hold_init(&b->hold, db, 0, e) != 0) {
        release(&b->hold);
        return -1;
    }
    *out = b;
    return 0;
}

static int fail(struct db_backup *b, int rc, struct err *e)
{
    int sys = errno; /* SQLite does not keep it for a failed write */
    enum err_code code = ERR_IO;

    if (rc == SQLITE_FULL || sys == ENOSPC || sys == EFBIG || sys == EDQUOT)
        code = ERR_FULL;
    else if (rc == SQLITE_NOMEM)
        code = ERR_NOMEM;
    else if ((rc & 0xff) == SQLITE_CORRUPT)
        code = ERR_CORRUPT;
    return err_set(e, code, "backup %s: %s", b->path, sqlite3_errstr(rc));
}

/* A read transaction on our connection keeps the source as it is; the log takes what is written. */
static int start(struct db_backup *b, struct db_conn *c, struct err *e)
{
    int64_t n;
    int fd, rc;

    unlink(b->part);
    fd = open(b->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(e, errno, "backup %s", b->part);
    close(fd);
    rc = sqlite3_open_v2(b->part, &b->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return fail(b, rc, e);
    if (db_conn_own(c, "BEGIN", e) != 0 ||
        db_conn_number(c, "SELECT count(*) FROM sqlite_schema", &n, e) != 0)
        return -1;
    sqlite3_exec(b->to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
    b->copy = sqlite3_backup_init(b->to, "main", c->db, "main");
    return b->copy != NULL ? 0 : fail(b, sqlite3_errcode(b->to), e);
}

/* On the disk first, then the name, then the folder. */
static int finish(struct db_backup *b, struct err *e)
{
    char *slash;
    int fd = open(b->part, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return err_errno(e, errno, "backup %s", b->part);
    rc = fsync(fd);
    if (rc != 0)
        err_errno(e, errno, "backup %s", b->part);
    close(fd);
    if (rc == 0 && (rc = rename(b->part, b->path)) != 0)
        err_errno(e, errno, "backup %s", b->path);
    if (rc != 0)
        return -1;
    b->is_complete = 1;
    slash = strrchr(b->part, '/');
    if (slash != NULL)
        slash[slash == b->part ? 1 : 0] = '\0';
    fd = open(slash != NULL ? b->part : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); /* some file systems cannot; the file itself is safe */
        close(fd);
    }
    return 0;
}

static int copy(struct db_req *req, struct db_conn *c, struct err *e)
{
    struct db_backup *b = (struct db_backup *)req->hold;
    int rc;

    if (b->hold.is_over || b->is_complete)
        return err_set(e, ERR_INVALID, "this backup is over");
    if (b->to == NULL && start(b, c, e) != 0)
        goto fail;
    errno = 0;
    rc = sqlite3_backup_step(b->copy, b->n_pages);
    b->n_total = sqlite3_backup_pagecount(b->copy);
    b->n_done = b->n_total - sqlite3_backup_remaining(b->copy);
    if (rc == SQLITE_OK)
        return 0;
    if (rc != SQLITE_DONE) {
        fail(b, rc, e);
        goto fail;
    }
    sqlite3_backup_finish(b->copy);
    b->copy = NULL;
    if (finish(b, e) != 0)
        goto fail;
    end(&b->hold, c);
    return 0;
fail:
    end(&b->hold, c);
    b->hold.is_over = 1;
    return -1;
}

static void on_done(struct db_hold *h)
{
    struct db_backup *b = (struct db_backup *)h;

    b->done(b);
}

int db_backup_next(struct db_backup *b, int n_pages, void (*done)(struct db_backup *),
                   struct err *e)
{
    b->n_pages = n_pages > 0 ? n_pages : 1;
    b->done = done;
    return db_hold_call(&b->hold, copy, on_done, e);
}

void db_backup_close(struct db_backup *b)
{
    if (b != NULL)
        db_hold_close(&b->hold);
}
