/*
 * bind_auth.c - core.auth: what lua/auth.lua does with keys and may not do slowly.
 *
 *   digest(key) --> 32 bytes     SHA-256 of this process's own random secret and the key
 *
 * digest names a key in the cache of checked keys. Without the secret nobody can choose a key by its
 * digest, so how long a look-up in that table takes says nothing about any key in it, and a core
 * dump shows no digest that another process would know. It is short enough to be interned by Lua:
 * a key that is known makes no garbage.
 */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "bind/bind.h"
#include "bind/bind_all.h"

#define TYPE "core.auth.hasher"
#define HASH_BYTES 32
#define SECRET_BYTES 64 /* one block of SHA-256 */

struct hasher {
    EVP_MD *md;
    EVP_MD_CTX *keyed; /* has taken the secret; copied for each key */
    EVP_MD_CTX *work;
};

static struct hasher *hasher_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int l_digest(lua_State *L)
{
    struct hasher *h = hasher_of(L);
    unsigned char out[HASH_BYTES];
    size_t n;
    const char *key = luaL_checklstring(L, 1, &n);

    if (EVP_MD_CTX_copy_ex(h->work, h->keyed) != 1 || EVP_DigestUpdate(h->work, key, n) != 1 ||
        EVP_DigestFinal_ex(h->work, out, NULL) != 1)
        return luaL_error(L, "SHA-256 failed");
    lua_pushlstring(L, (const char *)out, sizeof out);
    return 1;
}

static int l_free(lua_State *L)
{
    struct hasher *h = luaL_checkudata(L, 1, TYPE);

    EVP_MD_CTX_free(h->keyed);
    EVP_MD_CTX_free(h->work);
    EVP_MD_free(h->md);
    h->keyed = h->work = NULL;
    h->md = NULL;
    return 0;
}

static const luaL_Reg META[] = { { "__gc", l_free }, { NULL, NULL } };

static const luaL_Reg FUNCTIONS[] = { { "digest", l_digest }, { NULL, NULL } };

int luaopen_core_auth(lua_State *L)
{
    unsigned char secret[SECRET_BYTES];

    bind_class(L, TYPE, NULL, META);
    luaL_newlibtable(L, FUNCTIONS);
    struct hasher *h = lua_newuserdatauv(L, sizeof *h, 0);
    memset(h, 0, sizeof *h);
    luaL_setmetatable(L, TYPE);
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->keyed = EVP_MD_CTX_new();
    h->work = EVP_MD_CTX_new();
    if (h->md == NULL || h->keyed == NULL || h->work == NULL ||
        RAND_bytes(secret, sizeof secret) != 1 ||
        EVP_DigestInit_ex(h->keyed, h->md, NULL) != 1 ||
        EVP_DigestUpdate(h->keyed, secret, sizeof secret) != 1)
        return luaL_error(L, "SHA-256 or random numbers are not to be had");
    OPENSSL_cleanse(secret, sizeof secret);
    luaL_setfuncs(L, FUNCTIONS, 1);
    return 1;
}
