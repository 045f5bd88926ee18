#include "state/sqlite_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char schema[] =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA journal_size_limit=16777216;"
    "CREATE TABLE IF NOT EXISTS meta("
    " name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS kv("
    " id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,"
    " create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL,"
    " lease INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS kv_lease ON kv(lease) WHERE lease != 0;"
    "CREATE TABLE IF NOT EXISTS log("
    " id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB,"
    " create_rev INTEGER NOT NULL, lease INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS lease("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, ttl INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO meta VALUES('revision',0),('compacted',0);";

static const char *const sqls[] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

/* ---- opening ----------------------------------------------------------- */

/* SQLite gives its other files the mode of the first. */
static bool make_file(const char *path, struct error *err)
{
    _autoclose_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0600))
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool connect_db(const char *path, sqlite3 **db)
{
    return sqlite3_open_v2(path, db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                               SQLITE_OPEN_PRIVATECACHE,
                           NULL) == SQLITE_OK &&
           sqlite3_busy_timeout(*db, 5000) == SQLITE_OK;
}

static bool prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, st,
                              NULL) == SQLITE_OK;
}

static bool open_writer(struct sqlite *s, const char *path)
{
    if (!connect_db(path, &s->db) ||
        sqlite3_exec(s->db, schema, NULL, NULL, NULL))
        return false;
    for (int i = 0; i < N_STATEMENTS; i++)
        if (!prepare(s->db, sqls[i], &s->statements[i]))
            return false;
    return true;
}

static bool open_reader(struct sqlite *s, const char *path)
{
    return connect_db(path, &s->read_db) &&
           !sqlite3_exec(s->read_db, "PRAGMA query_only=1", NULL, NULL, NULL) &&
           prepare(s->read_db, "SELECT value FROM meta WHERE name='revision'",
                   &s->read_revision) &&
           prepare(s->read_db,
                   "SELECT key,value,create_rev,mod_rev,lease FROM kv"
                   " WHERE key>=?1 AND (?2 OR key<?3) ORDER BY key",
                   &s->read_range);
}

static int load_meta(void *arg, int n, char **values, char **names)
{
    struct sqlite *s = arg;
    int64_t value = strtoll(values[1], NULL, 10);
    if (strcmp(values[0], "revision") == 0)
        s->revision = s->told = value;
    else
        s->compacted = value;
    return 0;
}

/* A lease outlives a restart, and its time begins anew. */
static int load_lease(void *arg, int n, char **values, char **names)
{
    sqlite_lease_add(arg, strtoll(values[0], NULL, 10),
                     strtoll(values[1], NULL, 10));
    return 0;
}

static bool load(struct sqlite *s)
{
    return !sqlite3_exec(s->db, "SELECT name,value FROM meta", load_meta, s,
                         NULL) &&
           !sqlite3_exec(s->db, "SELECT id,ttl FROM lease", load_lease, s,
                         NULL);
}

static const char *open_problem(struct sqlite *s)
{
    return sqlite3_errmsg(s->read_db ? s->read_db : s->db);
}

bool sqlite_open_file(struct sqlite *s, const char *path, struct error *err)
{
    s->reserve[0] = s->reserve[1] = -1;
    if (!make_file(path, err))
        return false;
    if (!open_writer(s, path) || !load(s) || !open_reader(s, path))
        return error_set(err, ERR_INTERNAL, "%s: %s", path, open_problem(s));
    sqlite_reserve_open(s, path);
    return true;
}

void sqlite_close_file(struct sqlite *s)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_finalize(s->read_revision);
    sqlite3_finalize(s->read_range);
    sqlite3_close(s->read_db);
    sqlite3_close(s->db);
    sqlite_reserve_close(s);
}

/* ---- talking to SQLite -------------------------------------------------- */

/* The last error number of one of the database's files. */
static int file_errno(sqlite3 *db, int which)
{
    sqlite3_file *f = NULL;
    int e = 0;
    sqlite3_file_control(db, "main", which, &f);
    if (f && f->pMethods)
        f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &e);
    return e;
}

static bool means_full(int e)
{
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

/* SQLite knows ENOSPC; a quota or a limit is an I/O error to it. */
static bool is_full(sqlite3 *db)
{
    int code = sqlite3_errcode(db) & 0xff;
    return code == SQLITE_FULL ||
           (code == SQLITE_IOERR &&
            (means_full(sqlite3_system_errno(db)) ||
             means_full(file_errno(db, SQLITE_FCNTL_JOURNAL_POINTER)) ||
             means_full(file_errno(db, SQLITE_FCNTL_FILE_POINTER))));
}

bool sqlite_full(struct error *err)
{
    return error_set(err, ERR_NO_SPACE, "the store's disk is full");
}

bool sqlite_failed(sqlite3 *db, struct error *err)
{
    if (is_full(db))
        return sqlite_full(err);
    return error_set(err, ERR_INTERNAL, "the store cannot be written: %s",
                     sqlite3_errmsg(db));
}

sqlite3_stmt *sqlite_statement(struct sqlite *s, enum statement which)
{
    return s->statements[which];
}

bool sqlite_run(struct sqlite *s, enum statement which, struct error *err)
{
    sqlite3_stmt *st = sqlite_statement(s, which);
    bool ok = sqlite3_step(st) == SQLITE_DONE;
    if (!ok)
        sqlite_failed(s->db, err);
    sqlite3_reset(st);
    return ok;
}

void sqlite_bind_key(sqlite3_stmt *st, int at, const char *key)
{
    sqlite3_bind_blob(st, at, key, (int)strlen(key), SQLITE_STATIC);
}

/* A put of nothing is an empty value, not a delete. */
void sqlite_bind_value(sqlite3_stmt *st, int at, const void *value, size_t len)
{
    if (value)
        sqlite3_bind_blob(st, at, len ? value : "", (int)len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, at);
}

bool sqlite_number_of(struct sqlite *s, enum statement which, const char *key,
                      int64_t *number, struct error *err)
{
    sqlite3_stmt *st = sqlite_statement(s, which);
    sqlite_bind_key(st, 1, key);
    int rc = sqlite3_step(st);
    *number = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        sqlite_failed(s->db, err);
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

bool sqlite_set_meta(struct sqlite *s, const char *name, int64_t value,
                     struct error *err)
{
    sqlite3_bind_text(sqlite_statement(s, STMT_META), 1, name, -1,
                      SQLITE_STATIC);
    sqlite3_bind_int64(sqlite_statement(s, STMT_META), 2, value);
    return sqlite_run(s, STMT_META, err);
}
