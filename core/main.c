/*
 * main.c - the command line: pick a role, run it, answer its exit code.
 *
 * Shutdown order, in every role: stop accepting, cancel runs, drain the loop, close the VM, close
 * the loop.
 */
#include <stdio.h>
#include <string.h>

#include "role/role.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* or NULL: the Lua module */
    const char *module;
    int with_database;
    const char *summary;
} COMMANDS[] = {
    { "serve", role_serve, NULL, 0, "serve: starts, watches and reloads all processes" },
    { "web", NULL, "web", 1, "one web process alone" },
    { "work", NULL, "work", 1, "one job process alone" },
    { "run", NULL, "cli.run", 1, "run a job here and show how it goes" },
    { "jobs", role_jobs, NULL, 0, "list, show, start, cancel and retry jobs" },
    { "report", role_report, NULL, 0, "make a report here, again whenever its files change" },
    { "backup", NULL, "cli.backup", 1, "copy the database, in use, to a file" },
    { "restore", role_restore, NULL, 0, "put a copy of the database back" },
    { "demo", role_demo, NULL, 0, "show it all: a shop uploaded, trained on, forecast, reported" },
    { "generate", role_generate, NULL, 0, "write made-up sales and stock of a shop, to try things out" },
    { "lua", role_script, NULL, 0, "run one Lua file with every module at hand" },
    { "init", role_init, NULL, 0, "write the default workflows to a folder, for editing" },
    { "migrate", NULL, "cli.migrate", 1, "bring the database to this version's schema" },
    { "keys", NULL, "cli.keys", 1, "create, list and revoke API keys" },
    { "check", role_check, NULL, 0, "check settings, files, database and workflows" },
    { "reload", role_reload, NULL, 0, "load the workflows of the running server again" },
};

#define N_COMMANDS (sizeof COMMANDS / sizeof *COMMANDS)

static int usage(FILE *to, int code)
{
    fputs("usage: plastinka COMMAND [ARGS...]\n\n", to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    fputs("  version    print the version\n\nplastinka COMMAND --help says more.\n", to);
    return code;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
        puts("plastinka " PLASTINKA_VERSION);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0)
        return usage(stdout, 0);
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return COMMANDS[i].run != NULL
                       ? COMMANDS[i].run(argc - 2, argv + 2)
                       : role_module(COMMANDS[i].module, COMMANDS[i].with_database, argc - 2,
                                     argv + 2);
    if (name[0] != '\0')
        fprintf(stderr, "plastinka: there is no command '%s'\n", name);
    return usage(stderr, 2);
}
