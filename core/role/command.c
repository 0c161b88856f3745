/*
 * command.c - commands whose work is a Lua module: lua/cli/NAME.lua. See role.h.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "bind/bind_fs.h"
#include "role/boot.h"
#include "role/datadir.h"
#include "role/role.h"

int role_module(const char *module, int with_database, int argc, char **argv)
{
    struct boot b;
    struct err e;

    if (boot_settings(&argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 2;
    }
    if (argc > 0 && strcmp(argv[0], "--help") == 0)
        with_database = 0; /* asking how to use it makes no data folder */
    if (boot_open(&b, &e) != 0 || (with_database && boot_database(&b, &e) != 0)) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        b.code = 1;
        return boot_close(&b);
    }
    boot_main(&b, module, argc, argv);
    return boot_close(&b);
}

int role_jobs(int argc, char **argv)
{
    char answer[256];
    struct err e;
    int code = role_module("cli.jobs", 1, argc, argv);

    if (code == 2) /* the settings were refused: there is no data folder to speak of */
        return code;
    (void)datadir_ask("notify jobs", answer, sizeof answer, &e); /* without a server there is nobody */
    (void)datadir_ask("notify e *", answer, sizeof answer, &e);
    return code;
}

int role_report(int argc, char **argv)
{
    char cwd[4096], *words[130];
    struct boot b;
    struct err e;

    if (boot_settings(&argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 2;
    }
    if (argc > 128 || getcwd(cwd, sizeof cwd) == NULL) {
        fprintf(stderr, "plastinka report: %s\n", argc > 128 ? "too many arguments" : "the folder is gone");
        return 2;
    }
    int asks = argc == 0 || strcmp(argv[0], "--help") == 0; /* asking how to use it makes no data folder */
    if (boot_open(&b, &e) != 0 || (!asks && boot_database(&b, &e) != 0) ||
        bind_fs_allow("/", 1, &e) != 0) { /* people say where the file goes */
        fprintf(stderr, "plastinka: %s\n", e.text);
        b.code = 1;
        return boot_close(&b);
    }
    words[0] = cwd;
    memcpy(words + 1, argv, (size_t)argc * sizeof *argv);
    boot_main(&b, "cli.report", argc + 1, words);
    return boot_close(&b);
}

int role_restore(int argc, char **argv)
{
    struct boot b;
    struct err e;
    int lock = -1;

    if (boot_settings(&argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 2;
    }
    if (boot_open(&b, &e) != 0 || datadir_make(&e) != 0 || datadir_lock(&lock, &e) != 0 ||
        datadir_use(&b.use_fd, 1, &e) != 0 || bind_fs_allow(conf_text("data_root_dir"), 1, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        b.code = 1;
        return boot_close(&b);
    }
    boot_main(&b, "cli.restore", argc, argv);
    return boot_close(&b);
}

int role_generate(int argc, char **argv)
{
    struct boot b;
    struct err e;

    if (boot_settings(&argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 2;
    }
    if (boot_open(&b, &e) != 0 || bind_fs_allow(".", 1, &e) != 0 || bind_fs_allow("/", 1, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        b.code = 1;
        return boot_close(&b);
    }
    boot_main(&b, "cli.generate", argc, argv);
    return boot_close(&b);
}

int role_reload(int argc, char **argv)
{
    char answer[8192];
    struct err e;

    if (argc > 0 && strcmp(argv[0], "--help") == 0) {
        puts("usage: plastinka reload [--data DIR]\n\n"
             "Loads the workflows of the server running on this data folder again. Prints the new\n"
             "generation, or file:line and why it was refused (exit code 1; the old one stays).");
        return 0;
    }
    if (boot_settings(&argc, argv, &e) != 0) {
        fprintf(stderr, "plastinka: %s\n", e.text);
        return 2;
    }
    if (datadir_ask("reload", answer, sizeof answer, &e) != 0) {
        fprintf(stderr, "plastinka reload: %s\n", e.text);
        return 1;
    }
    if (strncmp(answer, "ok ", 3) == 0) {
        printf("generation %s\n", answer + 3);
        return 0;
    }
    fprintf(stderr, "refused: %s\n", strchr(answer, ' ') ? strchr(answer, ' ') + 1 : answer);
    return 1;
}
