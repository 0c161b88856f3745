/*
 * svg.h - drawings of a few points, as SVG text: the small ones that a table has in every row. Large
 * charts with axes are lua/chart.lua's.
 *
 * No styles inside (a page's content policy forbids them): shapes carry the classes spark, spark-last,
 * q90, q50, qmid; a page colours them. Coordinates have one decimal. Any thread.
 */
#ifndef BASE_SVG_H
#define BASE_SVG_H

#include <stddef.h>

#include "base/buf.h"

/*
 * A line through n >= 1 values, scaled from 0 (or the smallest, when below) to the largest, with a
 * dot at the last. Values must be finite. 0, or -1 with `nomem`, `limit`, `nan`.
 */
int svg_spark(struct buf *out, const double *v, size_t n, int width, int height, struct err *e);

/*
 * Five rising quantiles on a square root scale from 0 to `max` (counts spread evenly on it): a thin bar
 * from the first to the last, a thick one from the second to the fourth, a mark at the third.
 */
int svg_interval(struct buf *out, const double q[5], double max, int width, int height,
                 struct err *e);

/* Numbers apart by blanks, as month_series of db_agg.h writes them. How many, at most n_max; -1 `parse`. */
int svg_numbers(const char *text, size_t bytes, double *v, int n_max, struct err *e);

#endif
