/*
 * gbt_bundle.c - see gbt_bundle.h.
 *
 * Greedy: columns with few codes first, each into the first bundle that still fits. A sample
 * rejects most attempts, all rows decide. Source: the idea of LightGBM's exclusive feature bundling
 * (Ke et al. 2017, section 4), here for any columns with few combinations, not only exclusive ones.
 */
#include "model/gbt_bundle.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_store.h"

#define CODES_MAX 128 /* columns with more gain nothing */
#define TRIES 16      /* bundles tried per column, the latest first */
#define SAMPLE 8192

struct pairs {
    uint16_t code[GBT_CODES * GBT_CODES]; /* of (a, b), + 1; 0 = does not occur */
};

/* Marks the pairs that occur in every `step`-th row; gives up above GBT_CODES. Returns how many. */
static int mark_pairs(struct pairs *t, const uint8_t *a, const uint8_t *b, size_t n, size_t step)
{
    int found = 0;

    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < n; i += step) {
        uint16_t *cell = &t->code[a[i] * GBT_CODES + b[i]];

        if (*cell == 0) {
            *cell = 1;
            if (++found > GBT_CODES)
                return found;
        }
    }
    return found;
}

/* decode of a member after its column got new codes. */
static int move_decode(struct gbt_store *s, int feature, const uint8_t *old_code, int n_codes)
{
    uint16_t *decode = mem_zero(GBT_CODES, sizeof *decode);

    if (decode == NULL)
        return -1;
    for (int c = 0; c < n_codes; c++)
        decode[c] = (uint16_t)gbt_store_bin(s, feature, old_code[c]);
    mem_free(s->decode[feature]);
    s->decode[feature] = decode;
    return 0;
}

/* Column `from` goes into column `to`; the pairs have been marked over all rows. */
static int join(struct gbt_store *s, struct pairs *t, int to, int from, struct err *e)
{
    struct gbt_column *a = &s->columns[to], *b = &s->columns[from];
    uint8_t *x = s->narrow + (size_t)to * s->n_rows, *y = s->narrow + (size_t)from * s->n_rows;
    uint8_t old_a[GBT_CODES], old_b[GBT_CODES];
    int n = 0;

    for (int i = 0; i < GBT_CODES * GBT_CODES; i++)
        if (t->code[i] != 0) {
            old_a[n] = (uint8_t)(i / GBT_CODES);
            old_b[n] = (uint8_t)(i % GBT_CODES);
            t->code[i] = (uint16_t)++n;
        }
    for (int k = 0; k < a->n_members; k++)
        if (move_decode(s, a->members[k], old_a, n) != 0)
            goto nomem;
    for (int k = 0; k < b->n_members; k++) {
        if (move_decode(s, b->members[k], old_b, n) != 0)
            goto nomem;
        s->column_of[b->members[k]] = to;
        a->members[a->n_members++] = b->members[k];
    }
    for (size_t i = 0; i < s->n_rows; i++)
        x[i] = (uint8_t)(t->code[x[i] * GBT_CODES + y[i]] - 1);
    a->n_codes = n;
    b->n_codes = b->n_members = 0;
    return 0;
nomem:
    return err_set(e, ERR_NOMEM, "no memory for bundles");
}

/* Closes the gaps that joined columns left. */
static void close_gaps(struct gbt_store *s)
{
    int kept = 0, n_narrow = 0;

    for (int c = 0; c < s->n_columns; c++) {
        if (s->columns[c].n_members == 0) {
            mem_free(s->columns[c].members);
            continue;
        }
        if (kept != c) {
            if (c < s->n_narrow)
                memmove(s->narrow + (size_t)kept * s->n_rows, s->narrow + (size_t)c * s->n_rows,
                        s->n_rows);
            s->columns[kept] = s->columns[c];
            for (int k = 0; k < s->columns[kept].n_members; k++)
                s->column_of[s->columns[kept].members[k]] = kept;
        }
        n_narrow += c < s->n_narrow;
        kept++;
    }
    s->n_columns = kept;
    s->n_narrow = n_narrow;
}

int gbt_bundle(struct gbt_store *s, struct err *e)
{
    struct pairs *t = mem_alloc(sizeof *t);
    int *order = mem_alloc(((size_t)s->n_narrow + 1) * sizeof *order);
    int *bundles = mem_alloc(((size_t)s->n_narrow + 1) * sizeof *bundles);
    int n_bundles = 0, n = 0, rc = -1;
    size_t step = s->n_rows / SAMPLE + 1;

    if (t == NULL || order == NULL || bundles == NULL) {
        err_set(e, ERR_NOMEM, "no memory for bundles");
        goto done;
    }
    for (int c = 0; c < s->n_narrow; c++)
        if (s->columns[c].n_codes <= CODES_MAX)
            order[n++] = c;
    /* insertion by counting: codes are few */
    for (int i = 0, codes = 0; codes <= CODES_MAX && i < n; codes++)
        for (int k = i; k < n; k++)
            if (s->columns[order[k]].n_codes == codes) {
                int c = order[k];

                memmove(order + i + 1, order + i, (size_t)(k - i) * sizeof *order);
                order[i++] = c;
            }
    for (int i = 0; i < n; i++) {
        const uint8_t *y = s->narrow + (size_t)order[i] * s->n_rows;
        int joined = 0;

        for (int k = n_bundles - 1; k >= 0 && k >= n_bundles - TRIES && !joined; k--) {
            const uint8_t *x = s->narrow + (size_t)bundles[k] * s->n_rows;

            if (mark_pairs(t, x, y, s->n_rows, step) > GBT_CODES ||
                mark_pairs(t, x, y, s->n_rows, 1) > GBT_CODES)
                continue;
            if (join(s, t, bundles[k], order[i], e) != 0)
                goto done;
            joined = 1;
        }
        if (!joined)
            bundles[n_bundles++] = order[i];
    }
    close_gaps(s);
    rc = 0;
done:
    mem_free(t);
    mem_free(order);
    mem_free(bundles);
    return rc;
}
