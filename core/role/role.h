/*
 * role.h - what a process is for. Each takes the arguments behind its name and answers the exit
 * code: 0 well, 1 failed, 2 misused (the message says how it is used).
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

/* plastinka lua FILE [ARGS…]: one script with every module at hand, then the end. */
int role_script(int argc, char **argv);

/* plastinka serve: the supervisor. */
int role_serve(int argc, char **argv);

/* plastinka reload: asks the running supervisor of this data folder. */
int role_reload(int argc, char **argv);

/* plastinka init DIR: the default workflows, for editing. */
int role_init(int argc, char **argv);

/* plastinka check: settings, files, database, workflows. */
int role_check(int argc, char **argv);

/* plastinka jobs: lua/cli/jobs.lua, then a word to the running server that there may be work. */
int role_jobs(int argc, char **argv);

/* plastinka report: lua/cli/report.lua, which may write files anywhere; its first word is the folder it is in. */
int role_report(int argc, char **argv);

/* plastinka restore: lua/cli/restore.lua, with the lock of the data folder held. */
int role_restore(int argc, char **argv);

/* plastinka demo: a server on a fresh data folder, and lua/cli/demo.lua that uses it. */
int role_demo(int argc, char **argv);

/* plastinka generate: lua/cli/generate.lua, which may write where the caller may. */
int role_generate(int argc, char **argv);

/* Commands that are Lua modules with a main(args): lua/web.lua, lua/cli/keys.lua, … */
int role_module(const char *module, int with_database, int argc, char **argv);

#endif
