/*
 * gbt_bundle.h - joins narrow columns of a store whose combinations fit into one byte.
 */
#ifndef MODEL_GBT_BUNDLE_H
#define MODEL_GBT_BUNDLE_H

#include "base/err.h"

struct gbt_store;

/* After this a column may have several members, each with its `decode`; columns that were joined
 * into others are gone and the rest moved up. Only narrow columns change. */
int gbt_bundle(struct gbt_store *s, struct err *e);

#endif
