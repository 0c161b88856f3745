/*
 * db_conn.c - one SQLite connection; see the header.
 */
#include "db/db_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "db/db_func.h"
#include "db/db_guard.h"
#include "db/db_stmt.h"

#define MS 1000000u                      /* nanoseconds */
#define STEPS_THREAD 4000                /* VM steps between two looks at the clock */
#define STEPS_INLINE 250                 /* the same on the loop thread */
#define WAL_MAX_BYTES "67108864"         /* the log is cut back to this after a checkpoint */
#define EXCERPT DB_EXCERPT

void db_opt_init(struct db_opt *opt)
{
    memset(opt, 0, sizeof *opt);
    opt->create = 1;
    opt->sync = DB_SYNC_FULL;
    opt->busy_ms = 5000;
    opt->tx_idle_ms = 30000;
    opt->cache_kib = 8192;
    opt->n_readers = 2;
    opt->n_cursors = 16;
    opt->value_max_bytes = 64u << 20;
    opt->rows_max_bytes = 64u << 20;
}

/* ---- errors ---- */

static enum err_code code_of(struct db_conn *c, int rc, int last_errno)
{
    int sys = sqlite3_system_errno(c->db);

    if (sys == 0) /* SQLite does not keep it for a failed write */
        sys = last_errno;
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_DATATYPE ? ERR_INVALID : ERR_EXISTS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return ERR_BUSY;
    case SQLITE_FULL:
        if (c->opt.file_max_bytes > 0 && sys != ENOSPC && sys != EDQUOT && sys != EFBIG)
            return ERR_LIMIT;
        return ERR_FULL;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM)
            return ERR_NOMEM;
        if (rc == SQLITE_IOERR_CORRUPTFS)
            return ERR_CORRUPT;
        return sys == ENOSPC || sys == EFBIG || sys == EDQUOT ? ERR_FULL : ERR_IO;
    case SQLITE_CANTOPEN:
        return sys == ENOENT ? ERR_NOTFOUND : sys == ENOSPC || sys == EDQUOT ? ERR_FULL : ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_INTERRUPT:
        return c->stopped != ERR_NONE ? c->stopped : ERR_CANCELLED;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    case SQLITE_AUTH:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return ERR_AUTH;
    default:
        return ERR_INVALID;
    }
}

int db_conn_fail(struct db_conn *c, int rc, const char *sql, struct err *e)
{
    int last_errno = errno;
    const char *text = sqlite3_errmsg(c->db);
    int at = sqlite3_error_offset(c->db);
    enum err_code code;

    code = code_of(c, rc, last_errno);
    switch (code) {
    case ERR_CANCELLED:
        return err_set(e, code, "the statement was cancelled");
    case ERR_TIMEOUT:
        return err_set(e, code, "the statement took longer than %d ms", c->opt.timeout_ms);
    case ERR_BUSY:
        if (c->cancel != NULL && atomic_load(c->cancel))
            return err_set(e, ERR_CANCELLED, "the statement was cancelled");
        return err_set(e, code, "the database is locked by somebody else (waited up to %d ms)",
                       c->opt.busy_ms);
    case ERR_FULL:
        return err_set(e, code, "no space left on the disk: %s", text);
    case ERR_LIMIT:
        if ((rc & 0xff) == SQLITE_FULL)
            return err_set(e, code, "the database is at its limit of %lld bytes",
                           (long long)c->opt.file_max_bytes);
        return err_set(e, code, "%s", text);
    case ERR_INVALID:
        if (sql != NULL && at >= 0 && (size_t)at < strlen(sql)) {
            int from = at > EXCERPT / 2 ? at - EXCERPT / 2 : 0;
            while (from > 0 && ((unsigned char)sql[from] & 0xc0) == 0x80)
                from--; /* not in the middle of a letter */
            return err_set(e, code, "%s, at byte %d of the SQL: %s%.*s", text, at + 1,
                           from > 0 ? "…" : "", EXCERPT, sql + from);
        }
        if (sql != NULL)
            return err_set(e, code, "%s, in the SQL: %.*s", text, EXCERPT, sql);
        return err_set(e, code, "%s", text);
    default:
        return err_set(e, code, "%s", text);
    }
}

/* ---- waiting and stopping ---- */

void db_conn_begin(struct db_conn *c, const atomic_int *cancel, uint64_t queued_ns)
{
    uint64_t now = uv_hrtime(), busy = (uint64_t)c->opt.busy_ms * MS;

    c->cancel = cancel;
    c->stopped = ERR_NONE;
    /* who queued long behind others still gets a fair try at the lock of another process */
    c->busy_until_ns = queued_ns + busy > now + busy / 10 ? queued_ns + busy : now + busy / 10;
    c->stop_at_ns = c->opt.timeout_ms > 0 ? now + (uint64_t)c->opt.timeout_ms * MS : 0;
}

static int is_stopped(const struct db_conn *c)
{
    return (c->cancel != NULL && atomic_load(c->cancel)) ||
           (c->closing != NULL && atomic_load(c->closing));
}

static int on_progress(void *arg)
{
    struct db_conn *c = arg;

    if (c->role == DB_INLINE) {
        /* the count goes on over the runs of a statement: the first call says nothing */
        int is_first = c->steps_left == c->steps_budget;
        c->steps_left -= STEPS_INLINE;
        if (c->privileged || is_first || (c->steps_left > 0 && uv_hrtime() < c->inline_until_ns))
            return 0;
        c->stopped = ERR_LIMIT;
        return 1;
    }
    if (is_stopped(c)) {
        c->stopped = ERR_CANCELLED;
        return 1;
    }
    if (c->stop_at_ns != 0 && uv_hrtime() >= c->stop_at_ns) {
        c->stopped = ERR_TIMEOUT;
        return 1;
    }
    return 0;
}

/* Another process holds the lock; never called on the inline connection. */
static int on_busy(void *arg, int n_tries)
{
    struct db_conn *c = arg;

    if (is_stopped(c) || uv_hrtime() >= c->busy_until_ns)
        return 0;
    usleep(n_tries < 5 ? 1000u << n_tries : 20000u);
    return 1;
}

/* ---- open, close ---- */

/* The limit is of one connection: only the one that writes needs it. */
static int limit_file(struct db_conn *c, struct err *e)
{
    char text[64];
    int64_t page;

    if (c->opt.file_max_bytes <= 0 || c->role != DB_WRITER || c->opt.readonly)
        return 0;
    if (db_conn_number(c, "PRAGMA page_size", &page, e) != 0)
        return -1;
    int64_t pages = c->opt.file_max_bytes / page;
    if (pages > INT32_MAX)
        return 0; /* more than SQLite's own limit for most page sizes */
    sqlite3_snprintf((int)sizeof text, text, "PRAGMA max_page_count=%lld", (long long)(pages > 0 ? pages : 1));
    return db_conn_own(c, text, e);
}

/* Two processes that turn a new file into a WAL database at once: SQLite refuses one of them without
 * asking its busy handler, for waiting in both could never end. So we let go and try again. */
static int turn_wal(struct db_conn *c, struct err *e)
{
    enum { PAUSE_MS = 10 };
    int waited_ms = 0;

    while (db_conn_own(c, "PRAGMA journal_mode=WAL", e) != 0) {
        if (e->code != ERR_BUSY || waited_ms >= c->opt.busy_ms)
            return -1;
        waited_ms += sqlite3_sleep(PAUSE_MS);
    }
    return 0;
}

static int set_up(struct db_conn *c, struct err *e)
{
    static const char *const sync[] = {"PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL",
                                       "PRAGMA synchronous=OFF"};
    char text[64];
    int64_t n;

    sqlite3_extended_result_codes(c->db, 1);
    if (c->role != DB_INLINE)
        sqlite3_busy_handler(c->db, on_busy, c);
    sqlite3_progress_handler(c->db, c->role == DB_INLINE ? STEPS_INLINE : STEPS_THREAD,
                             on_progress, c);
    if (db_guard_set(c, e) != 0 || db_func_add(c->db, e) != 0)
        return -1;
    sqlite3_snprintf((int)sizeof text, text, "PRAGMA cache_size=-%d", c->opt.cache_kib);
    if (db_conn_own(c, text, e) != 0 || db_conn_own(c, "PRAGMA foreign_keys=ON", e) != 0 ||
        db_conn_own(c, "PRAGMA recursive_triggers=ON", e) != 0 ||
        db_conn_number(c, "PRAGMA schema_version", &n, e) != 0) /* reads the header */
        return -1;
    if (!c->opt.readonly && c->role == DB_WRITER && !c->is_memory &&
        (turn_wal(c, e) != 0 ||
         db_conn_own(c, "PRAGMA journal_size_limit=" WAL_MAX_BYTES, e) != 0))
        return -1;
    if (limit_file(c, e) != 0 || db_conn_own(c, sync[c->opt.sync], e) != 0 ||
        db_conn_number(c, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'", &n,
                       e) != 0)
        return -1;
    c->is_wal = n == 1;
    return 0;
}

int db_conn_open(struct db_conn **out, const char *path, const struct db_opt *opt,
                 enum db_role role, struct err *e)
{
    int readonly = opt->readonly || role != DB_WRITER;
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    struct db_conn *c = mem_zero(1, sizeof *c);
    int rc;

    *out = NULL;
    if (c == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a database connection");
    if (path[0] == '\0' || strncmp(path, "file:", 5) == 0) { /* SQLite's temporary file; an URI */
        err_set(e, ERR_INVALID, "\"%s\" is not the path of a database", path);
        goto fail;
    }
    c->opt = *opt;
    c->role = role;
    c->is_memory = strcmp(path, ":memory:") == 0;
    if (!readonly && opt->create && !c->is_memory) { /* first, for its mode */
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST) {
            err_errno(e, errno, "database %s", path);
            goto fail;
        }
        if (fd >= 0) /* only a new file: closing an old one would drop the locks we hold on it */
            close(fd);
    }
    flags |= readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (c->is_memory)
        flags |= SQLITE_OPEN_MEMORY;
    rc = sqlite3_open_v2(path, &c->db, flags, NULL);
    if (c->db == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a database connection");
        goto fail;
    }
    if (rc != SQLITE_OK) {
        if (access(path, F_OK) != 0 && errno == ENOENT)
            err_set(e, ERR_NOTFOUND, "there is no database %s", path);
        else
            err_wrap(e, "database %s", (db_conn_fail(c, rc, NULL, e), path));
        goto fail;
    }
    db_conn_begin(c, NULL, uv_hrtime());
    if (set_up(c, e) != 0) {
        err_wrap(e, "database %s", path);
        goto fail;
    }
    *out = c;
    return 0;
fail:
    db_conn_close(c);
    return -1;
}

void db_conn_close(struct db_conn *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < DB_BUCKETS; i++)
        while (c->buckets[i] != NULL) {
            struct db_stmt *s = c->buckets[i];
            c->buckets[i] = s->next;
            db_stmt_free(s);
        }
    sqlite3_close_v2(c->db);
    mem_free(c);
}

int db_conn_own(struct db_conn *c, const char *sql, struct err *e)
{
    int rc;

    c->privileged++;
    rc = db_stmt_script(c, sql, strlen(sql), e);
    c->privileged--;
    return rc;
}

int db_conn_number(struct db_conn *c, const char *sql, int64_t *out, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    c->privileged++;
    rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(st, 0);
        rc = SQLITE_OK;
    } else if (rc == SQLITE_DONE) {
        *out = 0;
        rc = SQLITE_OK;
    }
    if (rc != SQLITE_OK)
        db_conn_fail(c, rc, sql, e);
    sqlite3_finalize(st);
    c->privileged--;
    return rc == SQLITE_OK ? 0 : -1;
}
