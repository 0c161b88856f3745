/*
 * conf_list.h - what may be set. To add a setting, add its line to conf_list.c.
 */
#ifndef BASE_CONF_LIST_H
#define BASE_CONF_LIST_H

#include "base/conf.h"

extern const struct conf_def CONF_DEFS[];
extern const size_t CONF_DEFS_COUNT;

#endif
