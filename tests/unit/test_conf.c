#include "base/conf.h"
#include "base/mem.h"
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

static int parse(const char *text, struct err *e)
{
    return conf_parse(text, strlen(text), "plastinka.conf", e);
}

static void defaults_and_names(void)
{
    char a[128], b[128];

    for (size_t i = 0; i < conf_count(); i++) {
        const struct conf_def *d = conf_at(i);
        CHECK(conf_value(d) != NULL); /* parses the default: an assert if it does not fit */
        CHECK(strchr(d->name, '_') != NULL || strcmp(d->name, "kernels") == 0 ||
              strcmp(d->name, "environment") == 0 ||
              strcmp(d->name, "language") == 0);
        CHECK(d->doc[0] != '\0');
        CHECK_STR(conf_where(d), "default");
        conf_env_name(d, a, sizeof a);
        for (size_t k = 0; k < i; k++) {
            conf_env_name(conf_at(k), b, sizeof b);
            CHECK(strcmp(a, b) != 0);
            CHECK(strcmp(d->name, conf_at(k)->name) != 0);
        }
    }
    CHECK_INT(conf_int("http_port"), 8000);
    CHECK_INT(conf_size("http_body_bytes"), 10 << 20);
    CHECK_NEAR(conf_seconds("route_burst_seconds"), 0.2, 1e-12, 1);
    CHECK_INT(conf_ms("job_deadline_seconds"), 4 * 3600 * 1000);
    CHECK_INT(conf_bool("http_gzip"), 1);
}

static void types(void)
{
    struct err e;
    size_t n;

    CHECK_INT(parse("# a comment\r\n http_port = 81 # more\nhttp_gzip=off\n"
                    "http_body_bytes = 1.5M\nroute_burst_seconds = 50ms\n"
                    "http_cors_origins = [\"https://a\", \"https://b,\\\"c\"]\n"
                    "log_level = WARN\nbus_topic = \"a # b\"\ndata_root_dir = ~/x\n", &e), 0);
    CHECK_INT(conf_int("http_port"), 81);
    CHECK_INT(conf_bool("http_gzip"), 0);
    CHECK_INT(conf_size("http_body_bytes"), 3 << 19);
    CHECK_INT(conf_ms("route_burst_seconds"), 50);
    CHECK_STR(conf_text("log_level"), "warn");
    CHECK_STR(conf_text("bus_topic"), "a # b");
    CHECK_STR(conf_text("data_root_dir"), "/home/someone/x");
    const char *const *list = conf_list("http_cors_origins", &n);
    CHECK_INT(n, 2);
    CHECK_STR(list[1], "https://b,\"c");
    CHECK_STR(conf_where(conf_find("http_port")), "plastinka.conf:2");
    CHECK_INT(parse("http_cors_origins = a , b,c\n", &e), 0);
    list = conf_list("http_cors_origins", &n);
    CHECK_INT(n, 3);
    CHECK_STR(list[0], "a");
    CHECK_INT(parse("http_cors_origins = []\n", &e), 0);
    conf_list("http_cors_origins", &n);
    CHECK_INT(n, 0);
}

static void refuse(const char *text, enum err_code code, const char *part)
{
    struct err e = { 0 };

    CHECK_INT(parse(text, &e), -1);
    CHECK_INT(e.code, code);
    if (strstr(e.text, part) == NULL)
        CHECK_STR(e.text, part);
}

static void refusals(void)
{
    refuse("\n\nhttp_prot = 1\n", ERR_NOTFOUND, "plastinka.conf:3: there is no setting \"http_prot\"");
    refuse("http_prot = 1\n", ERR_NOTFOUND, "the nearest is \"http_port\"");
    refuse("http_port = 65536\n", ERR_INVALID, "http_port (plastinka.conf:1): found \"65536\"; "
                                               "expected a whole number from 0 to 65535 port");
    refuse("http_port = 1.5\n", ERR_INVALID, "whole number");
    refuse("http_port = 0x10\n", ERR_INVALID, "whole number");
    refuse("http_port = nan\n", ERR_INVALID, "whole number");
    refuse("http_port = \n", ERR_INVALID, "found \"\"");
    refuse("http_port = 1e999\n", ERR_INVALID, "whole number");
    refuse("http_gzip = maybe\n", ERR_INVALID, "true or false");
    refuse("http_body_bytes = 5 apples\n", ERR_INVALID, "bytes such as");
    refuse("route_burst_seconds = 2 weeks\n", ERR_INVALID, "a time such as");
    refuse("log_level = loud\n", ERR_INVALID, "one of debug|info|warn|error");
    refuse("http_cors_origins = [\"a\" \"b\"]\n", ERR_INVALID, "a comma");
    refuse("http_cors_origins = [\"a\n", ERR_INVALID, "closing quote");
    refuse("http_cors_origins = [\"a\"\n", ERR_INVALID, "a comma or ]");
    refuse("what is this\n", ERR_PARSE, "expected name = value");
    refuse("bus_topic = \"a\n", ERR_PARSE, "quotes");
    refuse("bus_topic = \"a\" b\n", ERR_PARSE, "quotes");
    struct err e;
    CHECK_INT(conf_parse("a\0b", 3, "x", &e), -1);
    CHECK_INT(e.code, ERR_PARSE);
}

static void precedence(void)
{
    struct err e;
    char *env[] = { "API_PORT=82", "YC_OAUTH_TOKEN=from-yc", "JOB_REFRACTORY_SECONDS_DEFAULT=",
                    "API_ALLOWED_ORIGINS=[\"https://shop\"]", NULL };
    size_t n;

    CHECK_INT(conf_flag("http-host", "::1", &e), 0);
    CHECK_INT(conf_load(NULL, "/nonexistent/.env", env, &e), 0);
    CHECK_INT(parse("http_port = 81\nhttp_host = 1.2.3.4\nkernels = ref\nweb_processes = 3\n", &e), 0);
    const char *dotenv = "export API_PORT='83'\nOTHER=1\nPLASTINKA_WEB_PROCESSES=4\n"
                         "API_X_API_KEY_HASH=$2b$12$abc\n";
    CHECK_INT(conf_parse_env(dotenv, strlen(dotenv), ".env", &e), 0);
    CHECK_INT(conf_int("http_port"), 82);
    CHECK_STR(conf_where(conf_find("http_port")), "API_PORT");
    CHECK_STR(conf_text("http_host"), "::1");
    CHECK_STR(conf_where(conf_find("http_host")), "--http-host");
    CHECK_STR(conf_text("kernels"), "ref");
    CHECK_INT(conf_int("web_processes"), 4);
    CHECK_STR(conf_where(conf_find("web_processes")), ".env:3 PLASTINKA_WEB_PROCESSES");
    CHECK_STR(conf_text("datasphere_oauth_token"), "from-yc");
    CHECK_STR(conf_text("auth_user_key_hash"), "$2b$12$abc");
    CHECK_NEAR(conf_seconds("job_refractory_seconds"), 300, 0, 1);
    CHECK_STR(conf_list("http_cors_origins", &n)[0], "https://shop");
    CHECK_INT(conf_origin(conf_find("kernels")), CONF_FILE);

    struct buf out;
    buf_init(&out, 1 << 20);
    CHECK_INT(conf_print(&out, &e), 0);
    const char *text = buf_text(&out, &e);
    CHECK(strstr(text, "$2b$12$abc") == NULL && strstr(text, "from-yc") == NULL);
    CHECK(strstr(text, "********") != NULL && strstr(text, "API_PORT") != NULL);
    buf_clear(&out);
    CHECK_INT(conf_template(&out, &e), 0);
    conf_reset();
    CHECK_INT(conf_parse_env(out.data, out.len, ".env.template", &e), 0);
    CHECK_STR(conf_where(conf_find("http_port")), "default");
    buf_deinit(&out);
    CHECK_INT(conf_flag("http_port", "x", &e), -1);
    CHECK_INT(conf_flag("no-such", "x", &e), -1);
    CHECK(strstr(e.text, "--no-such: there is no setting") != NULL);
    struct err secret = { 0 };
    char long_text[6000] = "";
    memset(long_text, 'x', sizeof long_text - 1);
    CHECK_INT(conf_flag("auth_user_key_hash", long_text, &secret), -1);
    CHECK(strstr(secret.text, "xxx") == NULL);
}

static void files(void)
{
    char path[] = "/tmp/conf_test_XXXXXX";
    struct err e;
    int fd = mkstemp(path);

    CHECK(fd >= 0);
    CHECK_INT(write(fd, "http_port = 99\n", 15), 15);
    close(fd);
    CHECK_INT(conf_load(path, NULL, NULL, &e), 0);
    CHECK_INT(conf_int("http_port"), 99);
    char var[64];
    snprintf(var, sizeof var, "CONFIG_FILE_PATH=%s", path);
    char *env[] = { var, NULL };
    conf_reset();
    CHECK_INT(conf_load(NULL, NULL, env, &e), 0);
    CHECK_INT(conf_int("http_port"), 99);
    unlink(path);
    CHECK_INT(conf_load(path, NULL, NULL, &e), -1);
    CHECK_INT(e.code, ERR_NOTFOUND);
    CHECK_INT(conf_load("/", NULL, NULL, &e), -1);
}

int main(void)
{
    setenv("HOME", "/home/someone", 1);
    defaults_and_names();
    conf_reset();
    types();
    conf_reset();
    refusals();
    conf_reset();
    precedence();
    conf_reset();
    files();
    conf_reset();
    for (size_t n = 1; n < 20; n++) { /* every allocation fails in turn */
        struct err e;
        mem_fail_at(n);
        parse("http_cors_origins = a, b\nlog_file = ~/x\nhttp_port = 1\n", &e);
        mem_fail_at(0);
        conf_reset();
    }
    CHECK_INT(mem_live(), 0);
    return check_done();
}
