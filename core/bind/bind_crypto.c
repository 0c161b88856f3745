/*
 * bind_crypto.c - core.crypto: digests, randomness, encodings, passwords (OpenSSL, crypt).
 *
 *   digest(name, text) --> bytes        name: md5 sha1 sha256 sha384 sha512
 *   hmac(name, key, text) --> bytes
 *   digest_file(name, path) --> bytes, size      waits; nil, message, code
 *   random(n) --> bytes                 uuid(version) --> text, version 4 or 7
 *   equal(a, b) --> boolean             in time that depends on the lengths alone
 *   hex(bytes)  unhex(text)  base64(bytes [, url])  unbase64(text [, url])     un…: nil, message, code
 *   bcrypt_hash(password, rounds) --> hash       bcrypt_check(password, hash) --> boolean   both wait
 */
#include <crypt.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bind/bind_all.h"
#include "bind/bind_fs.h"
#include "bind/bind_block.h"

#define RANDOM_MAX 65536
#define PASSWORD_MAX 72 /* bcrypt looks at no more */
#define ROUNDS_MAX 16
#define CHUNK_BYTES ((size_t)1 << 20)

/* ---- digests ---- */

static const EVP_MD *check_digest(lua_State *L, int arg)
{
    static const char *const names[] = { "md5", "sha1", "sha256", "sha384", "sha512", NULL };
    static const EVP_MD *(*const get[])(void) = { EVP_md5, EVP_sha1, EVP_sha256, EVP_sha384, EVP_sha512 };

    return get[luaL_checkoption(L, arg, NULL, names)]();
}

static int l_digest(lua_State *L)
{
    const EVP_MD *md = check_digest(L, 1);
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n_out;
    size_t n;
    const char *s = luaL_checklstring(L, 2, &n);

    if (EVP_Digest(s, n, out, &n_out, md, NULL) != 1)
        return luaL_error(L, "the digest failed");
    lua_pushlstring(L, (char *)out, n_out);
    return 1;
}

static int l_hmac(lua_State *L)
{
    const EVP_MD *md = check_digest(L, 1);
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n_out;
    size_t n_key, n;
    const char *key = luaL_checklstring(L, 2, &n_key), *s = luaL_checklstring(L, 3, &n);

    if (HMAC(md, key, (int)n_key, (const unsigned char *)s, n, out, &n_out) == NULL)
        return luaL_error(L, "the digest failed");
    lua_pushlstring(L, (char *)out, n_out);
    return 1;
}

struct file_op {
    struct bind_block work;
    const EVP_MD *md;
    char *path;
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned n_out;
    uint64_t bytes;
};

static int run_file(struct bind_block *w, struct err *e)
{
    struct file_op *op = (struct file_op *)w;
    int rc = -1, fd = file_open(bind_fs_roots(), op->path, O_RDONLY, e);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char *room = mem_alloc(CHUNK_BYTES);
    ssize_t n;

    if (fd < 0)
        goto done;
    if (ctx == NULL || room == NULL || EVP_DigestInit_ex(ctx, op->md, NULL) != 1) {
        err_set(e, ERR_NOMEM, "no memory for a digest");
        goto done;
    }
    while ((n = read(fd, room, CHUNK_BYTES)) > 0) {
        EVP_DigestUpdate(ctx, room, (size_t)n);
        op->bytes += (uint64_t)n;
    }
    if (n < 0)
        err_set(e, ERR_IO, "file %.300s cannot be read", op->path);
    else
        rc = EVP_DigestFinal_ex(ctx, op->out, &op->n_out) == 1 ? 0 : err_set(e, ERR_IO, "the digest failed");
done:
    mem_free(room);
    EVP_MD_CTX_free(ctx);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int finish_file(lua_State *L, struct bind_block *w)
{
    struct file_op *op = (struct file_op *)w;

    lua_pushlstring(L, (char *)op->out, op->n_out);
    lua_pushinteger(L, (lua_Integer)op->bytes);
    return 2;
}

static void release_file(struct bind_block *w)
{
    mem_free(((struct file_op *)w)->path);
}

static int l_digest_file(lua_State *L)
{
    const EVP_MD *md = check_digest(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct err e;

    run_check_can_wait(L);
    if (bind_fs_roots() == NULL) {
        err_set(&e, ERR_AUTH, "path %.300s is outside the folders that may be used", path);
        return bind_fail(L, &e);
    }
    struct file_op *op = mem_zero(1, sizeof *op);
    if (op == NULL || (op->path = mem_dup(path)) == NULL) {
        mem_free(op);
        err_set(&e, ERR_NOMEM, "no memory for a digest");
        return bind_fail(L, &e);
    }
    op->md = md;
    op->work.run = run_file;
    op->work.finish = finish_file;
    op->work.release = release_file;
    return bind_block_wait(L, &op->work);
}

/* ---- randomness ---- */

static void random_bytes(lua_State *L, unsigned char *out, size_t n)
{
    if (RAND_bytes(out, (int)n) != 1)
        luaL_error(L, "no randomness can be had");
}

static int l_random(lua_State *L)
{
    lua_Integer n = luaL_checkinteger(L, 1);
    luaL_Buffer b;

    luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, 1, "0 to 65536 bytes expected");
    unsigned char *out = (unsigned char *)luaL_buffinitsize(L, &b, (size_t)n);
    random_bytes(L, out, (size_t)n);
    luaL_pushresultsize(&b, (size_t)n);
    return 1;
}

static void put_hex(char *to, const unsigned char *s, size_t n)
{
    static const char HEX[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        to[2 * i] = HEX[s[i] >> 4];
        to[2 * i + 1] = HEX[s[i] & 15];
    }
}

/* RFC 9562: version 4 is random, version 7 begins with the milliseconds. */
static int l_uuid(lua_State *L)
{
    lua_Integer version = luaL_optinteger(L, 1, 4);
    unsigned char b[16];
    char text[36];

    luaL_argcheck(L, version == 4 || version == 7, 1, "4 or 7 expected");
    random_bytes(L, b, sizeof b);
    if (version == 7) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        uint64_t ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
        for (int i = 0; i < 6; i++)
            b[i] = (unsigned char)(ms >> (40 - 8 * i));
    }
    b[6] = (unsigned char)((b[6] & 0x0F) | version << 4);
    b[8] = (unsigned char)((b[8] & 0x3F) | 0x80);
    for (int i = 0, at = 0; i < 16; i++, at += 2) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            text[at++] = '-';
        put_hex(text + at, b + i, 1);
    }
    lua_pushlstring(L, text, sizeof text);
    return 1;
}

static int l_equal(lua_State *L)
{
    size_t n, m;
    const char *a = luaL_checklstring(L, 1, &n), *b = luaL_checklstring(L, 2, &m);

    lua_pushboolean(L, n == m && CRYPTO_memcmp(a, b, n) == 0);
    return 1;
}

/* ---- encodings ---- */

static int l_hex(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    luaL_Buffer b;

    put_hex(luaL_buffinitsize(L, &b, 2 * n), (const unsigned char *)s, n);
    luaL_pushresultsize(&b, 2 * n);
    return 1;
}

static int not_encoded(lua_State *L, const char *what)
{
    struct err e;

    err_set(&e, ERR_PARSE, "the text is no %s", what);
    return bind_fail(L, &e);
}

static int l_unhex(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    luaL_Buffer b;
    unsigned char *to = (unsigned char *)luaL_buffinitsize(L, &b, n / 2);

    for (size_t i = 0; i < n; i++) {
        int c = s[i] | 0x20;
        int v = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0 || n % 2)
            return not_encoded(L, "hexadecimal");
        to[i / 2] = (unsigned char)(i % 2 ? to[i / 2] | v : v << 4);
    }
    luaL_pushresultsize(&b, n / 2);
    return 1;
}

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int l_base64(lua_State *L)
{
    size_t n, len = 0;
    const unsigned char *s = (const unsigned char *)luaL_checklstring(L, 1, &n);
    int is_url = lua_toboolean(L, 2);
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, n / 3 * 4 + 4);

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0u);
        size_t take = n - i < 3 ? n - i + 1 : 4;
        for (size_t k = 0; k < 4; k++) {
            char c = k < take ? ALPHABET[v >> (18 - 6 * k) & 63] : '=';
            if (is_url && k >= take)
                break;
            to[len++] = is_url && c == '+' ? '-' : is_url && c == '/' ? '_' : c;
        }
    }
    luaL_pushresultsize(&b, len);
    return 1;
}

static int value64(char c, int is_url)
{
    if (is_url)
        c = c == '-' ? '+' : c == '_' ? '/' : c == '+' || c == '/' ? '!' : c;
    const char *p = c ? strchr(ALPHABET, c) : NULL;
    return p ? (int)(p - ALPHABET) : -1;
}

static int l_unbase64(lua_State *L)
{
    size_t n, len = 0;
    const char *s = luaL_checklstring(L, 1, &n);
    int is_url = lua_toboolean(L, 2);
    unsigned v = 0;
    luaL_Buffer b;

    if (!is_url && n % 4 != 0)
        return not_encoded(L, "base64");
    for (int k = 0; k < 2 && n > 0 && s[n - 1] == '='; k++)
        n--;
    char *to = luaL_buffinitsize(L, &b, n);
    for (size_t i = 0; i < n; i++) {
        int x = value64(s[i], is_url);
        if (x < 0)
            return not_encoded(L, is_url ? "base64url" : "base64");
        v = (v << 6 | (unsigned)x) & 0xFFFFFF;
        if (i % 4 > 0)
            to[len++] = (char)(v >> (6 - 2 * (i % 4)));
    }
    /* one letter too many, or bits that belong to nothing */
    if (n % 4 == 1 || (n % 4 == 2 && (v & 15)) || (n % 4 == 3 && (v & 3)))
        return not_encoded(L, is_url ? "base64url" : "base64");
    luaL_pushresultsize(&b, len);
    return 1;
}

/* ---- passwords ---- */

struct bcrypt_op {
    struct bind_block work;
    char password[PASSWORD_MAX + 1], setting[80], found[CRYPT_OUTPUT_SIZE];
    int is_check;
};

static int run_bcrypt(struct bind_block *w, struct err *e)
{
    struct bcrypt_op *op = (struct bcrypt_op *)w;
    struct crypt_data *data = mem_zero(1, sizeof *data); /* 32 KiB */

    if (data == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a password");
    const char *hash = crypt_r(op->password, op->setting, data);
    int rc = hash == NULL || hash[0] == '*' ? err_set(e, ERR_INVALID, "the bcrypt hash is damaged") : 0;
    if (rc == 0)
        snprintf(op->found, sizeof op->found, "%s", hash);
    OPENSSL_cleanse(data, sizeof *data);
    mem_free(data);
    return rc;
}

static int finish_bcrypt(lua_State *L, struct bind_block *w)
{
    struct bcrypt_op *op = (struct bcrypt_op *)w;
    size_t n = strlen(op->found);

    if (op->is_check)
        lua_pushboolean(L, n == strlen(op->setting) && CRYPTO_memcmp(op->found, op->setting, n) == 0);
    else
        lua_pushlstring(L, op->found, n);
    return 1;
}

static void release_bcrypt(struct bind_block *w)
{
    struct bcrypt_op *op = (struct bcrypt_op *)w;

    OPENSSL_cleanse(op->password, sizeof op->password);
}

static int bcrypt_with(lua_State *L, const char *password, size_t n, const char *setting, int is_check)
{
    struct err e;
    struct bcrypt_op *op = mem_zero(1, sizeof *op);

    if (op == NULL) {
        err_set(&e, ERR_NOMEM, "no memory for a password");
        return bind_fail(L, &e);
    }
    memcpy(op->password, password, n);
    snprintf(op->setting, sizeof op->setting, "%s", setting);
    op->is_check = is_check;
    op->work.run = run_bcrypt;
    op->work.finish = finish_bcrypt;
    op->work.release = release_bcrypt;
    return bind_block_wait(L, &op->work);
}

static int is_password(const char *s, size_t n)
{
    return n <= PASSWORD_MAX && memchr(s, '\0', n) == NULL;
}

static int l_bcrypt_hash(lua_State *L)
{
    size_t n;
    const char *password = luaL_checklstring(L, 1, &n);
    lua_Integer rounds = luaL_optinteger(L, 2, 12);
    unsigned char salt[16];
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    luaL_argcheck(L, is_password(password, n), 1, "at most 72 bytes without a zero byte expected");
    luaL_argcheck(L, rounds >= 4 && rounds <= ROUNDS_MAX, 2, "4 to 16 rounds expected");
    run_check_can_wait(L);
    random_bytes(L, salt, sizeof salt);
    if (crypt_gensalt_rn("$2b$", (unsigned long)rounds, (char *)salt, sizeof salt, setting, sizeof setting) == NULL)
        return luaL_error(L, "no bcrypt on this system");
    return bcrypt_with(L, password, n, setting, 0);
}

/* Two digits; 0 when they are none. */
static int rounds_of(const char *s)
{
    int ok = s[0] >= '0' && s[0] <= '9' && s[1] >= '0' && s[1] <= '9';

    return ok ? (s[0] - '0') * 10 + s[1] - '0' : 0;
}

static int l_bcrypt_check(lua_State *L)
{
    size_t n, n_hash;
    const char *password = luaL_checklstring(L, 1, &n), *hash = luaL_checklstring(L, 2, &n_hash);
    struct err e;

    run_check_can_wait(L);
    if (n_hash != 60 || memcmp(hash, "$2", 2) != 0 || strchr("aby", hash[2]) == NULL || hash[3] != '$' ||
        hash[6] != '$' || rounds_of(hash + 4) < 4 || rounds_of(hash + 4) > ROUNDS_MAX) {
        err_set(&e, ERR_INVALID, "the hash is no bcrypt hash of 4 to %d rounds", ROUNDS_MAX);
        return bind_fail(L, &e);
    }
    if (!is_password(password, n)) { /* no hash of ours was ever made from it */
        lua_pushboolean(L, 0);
        return 1;
    }
    return bcrypt_with(L, password, n, hash, 1);
}

static const luaL_Reg FUNCTIONS[] = {
    { "digest", l_digest },     { "hmac", l_hmac },         { "digest_file", l_digest_file },
    { "random", l_random },     { "uuid", l_uuid },         { "equal", l_equal },
    { "hex", l_hex },           { "unhex", l_unhex },       { "base64", l_base64 },
    { "unbase64", l_unbase64 }, { "bcrypt_hash", l_bcrypt_hash },
    { "bcrypt_check", l_bcrypt_check }, { NULL, NULL },
};

int luaopen_core_crypto(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
