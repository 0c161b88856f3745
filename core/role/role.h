/*
 * role.h - what a process is for. Each takes the arguments behind its name and answers the exit
 * code: 0 well, 1 failed, 2 misused (the message says how it is used).
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

/* plastinka lua FILE [ARGS…]: one script with every module at hand, then the end. */
int role_script(int argc, char **argv);

#endif
