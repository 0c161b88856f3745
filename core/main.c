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
    int (*run)(int argc, char **argv);
    const char *summary;
} COMMANDS[] = {
    { "lua", role_script, "run one Lua file with every module at hand" },
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
            return COMMANDS[i].run(argc - 2, argv + 2);
    if (name[0] != '\0')
        fprintf(stderr, "plastinka: there is no command '%s'\n", name);
    return usage(stderr, 2);
}
