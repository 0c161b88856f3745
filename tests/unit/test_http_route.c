#include "http/http_route.h"

#include "base/mem.h"
#include "check.h"

static struct http_router *router;
static struct http_route_found f;
static char room[256];

static int match(enum http_method m, const char *path)
{
    enum http_route_result k =
        http_route_match(router, m, (struct http_text){ path, strlen(path) }, room, &f);

    return k == HTTP_ROUTE_FOUND ? f.index : k == HTTP_ROUTE_NONE ? -1 : -2;
}

static int add(const char *method, const char *pattern, int index)
{
    struct err e;

    return http_route_add(router, method, pattern, index, &e) == 0 ? 0 : (int)e.code;
}

static int is(int i, const char *name, const char *value)
{
    return strcmp(f.names[i], name) == 0 && f.values[i].n == strlen(value) &&
           memcmp(f.values[i].p, value, f.values[i].n) == 0;
}

int main(void)
{
    struct err e;

    router = http_route_new();
    CHECK_INT(add("GET", "/", 0), 0);
    CHECK_INT(add("GET", "/jobs/{id}", 1), 0);
    CHECK_INT(add("POST", "/jobs/{job}", 2), 0); /* its own name for the same place */
    CHECK_INT(add("GET", "/jobs/all", 3), 0);
    CHECK_INT(add("GET", "/jobs/all/now", 4), 0);
    CHECK_INT(add("GET", "/jobs/{id}/log", 5), 0);
    CHECK_INT(add("GET", "/files/{path...}", 6), 0);
    CHECK_INT(add("DELETE", "/files/keep", 7), 0);
    CHECK_INT(http_route_add(router, "GET", "/jobs/{x}", 9, &e), -1);
    CHECK_INT(e.code, ERR_EXISTS);
    CHECK_STR(e.text, "GET /jobs/{x} clashes with GET /jobs/{id}");
    static const char *const BAD[] = { "jobs", "", "/{a}/{a}", "/{a...}/b", "/a{b}", "/{}", "/{1}",
                                       "/{...}", "/{a b}" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK_INT(add("GET", BAD[i], 9), ERR_INVALID);
    CHECK_INT(add("BREW", "/x", 9), ERR_INVALID);

    CHECK_INT(match(METHOD_GET, "/"), 0);
    CHECK_INT(match(METHOD_HEAD, "/"), 0);
    CHECK_INT(match(METHOD_GET, "/jobs/7"), 1);
    CHECK(is(0, "id", "7"));
    CHECK_INT(match(METHOD_POST, "/jobs/7"), 2);
    CHECK(is(0, "job", "7"));
    CHECK_INT(match(METHOD_GET, "/jobs/all"), 3);
    CHECK_INT(match(METHOD_GET, "/jobs/all/log"), 5); /* goes back to {id} */
    CHECK(is(0, "id", "all"));
    CHECK_INT(match(METHOD_POST, "/jobs/all"), 2);
    CHECK_INT(match(METHOD_GET, "/jobs/"), -1);
    CHECK_INT(match(METHOD_GET, "/jobs/7/"), -1);
    CHECK_INT(match(METHOD_GET, "/jobs"), -1);
    CHECK_INT(match(METHOD_GET, "/jobs/a%2fb%20c"), 1);
    CHECK(is(0, "id", "a/b c"));
    CHECK_INT(match(METHOD_GET, "/%6aobs/all"), 3);
    CHECK_INT(match(METHOD_GET, "/files/a/b%20c/d"), 6);
    CHECK(is(0, "path", "a/b c/d"));
    CHECK_INT(match(METHOD_GET, "/files/"), 6);
    CHECK(is(0, "path", ""));
    CHECK_INT(match(METHOD_GET, "/files/keep"), 6);
    CHECK_INT(match(METHOD_DELETE, "/files/keep"), 7);
    CHECK_INT(match(METHOD_PUT, "/jobs/7"), -2);
    CHECK_STR(f.allow, "GET, HEAD, POST, OPTIONS");
    CHECK_INT(match(METHOD_OPTIONS, "/"), -2);
    CHECK_STR(f.allow, "GET, HEAD, OPTIONS");
    CHECK_INT(match(METHOD_DELETE, "/files/other"), -2);
    CHECK_INT(match(METHOD_GET, "*"), -1);
    http_route_free(router);

    for (size_t n = 1; n < 12; n++) { /* every allocation fails in turn: nothing is lost */
        router = http_route_new();
        mem_fail_at(n);
        add("GET", "/a/{b}/c/{d...}", 1);
        mem_fail_at(0);
        match(METHOD_GET, "/a/b/c/d");
        http_route_free(router);
    }
    CHECK_INT(mem_live(), 0);
    return check_done();
}
