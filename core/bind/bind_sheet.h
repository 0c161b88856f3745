/*
 * bind_sheet.h - core.sheet, in two files: bind_sheet.c (reading), bind_sheet_write.c (writing).
 */
#ifndef BIND_BIND_SHEET_H
#define BIND_BIND_SHEET_H

#include <lua.h>

/* core.sheet.write, see bind_sheet_write.c. */
int bind_sheet_write(lua_State *L);

/* The text field of the table at `index`, as a C text that stays while the table `keep` does; NULL
 * when absent. Misuse, a zero byte too, raises. */
const char *bind_sheet_text(lua_State *L, int index, int keep, const char *field);

/* A block that lives as long as the table `keep`. Raises without memory. */
void *bind_sheet_block(lua_State *L, int keep, size_t bytes);

#endif
