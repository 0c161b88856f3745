/*
 * gbt_grow_rows.c - which rows of a leaf go left, see gbt_grow_part.h: chunks side by side into two
 * scratch halves, then moved together, so that rows stay in ascending order.
 */
#include "model/gbt_grow_part.h"

#include <string.h>

#include "base/mem.h"

/* Bits of the bins and codes that go left. */
int gbt_grow_rule(struct gbt_grow *w, int node, const struct gbt_split *s, struct err *e)
{
    const struct gbt_store *st = w->set.store;
    const struct gbt_bin *b = &st->bins[s->feature];
    struct grow_rule *r = &w->rules[node];
    int c = st->column_of[s->feature];
    size_t bin_words = (size_t)b->n_bins / 32 + 1;
    size_t code_words = (size_t)(c < st->n_narrow ? GBT_CODES : st->columns[c].n_codes) / 32 + 1;

    mem_free(w->bit_blocks[node]);
    w->bit_blocks[node] = mem_zero(bin_words + code_words, sizeof(uint32_t));
    if (w->bit_blocks[node] == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a node");
    r->column = c;
    r->feature = s->feature;
    r->bin_bits = w->bit_blocks[node];
    r->code_bits = r->bin_bits + bin_words;
    if (s->is_cat) {
        for (int i = 0; i < s->n_cats; i++)
            grow_set_bit(r->bin_bits, s->cats[i]);
    } else {
        for (int i = 0; i <= s->bin && i < b->n_values; i++)
            grow_set_bit(r->bin_bits, i);
        if (b->missing != GBT_MISSING_NONE) {
            int miss = b->missing == GBT_MISSING_NAN ? b->n_bins - 1 : b->zero_bin;

            r->bin_bits[miss / 32] &= ~((uint32_t)1 << (miss % 32));
            if (s->default_left)
                grow_set_bit(r->bin_bits, miss);
        }
    }
    for (int k = 0; k < st->columns[c].n_codes; k++)
        if (grow_is_bit(r->bin_bits, gbt_store_bin(st, s->feature, k)))
            grow_set_bit(r->code_bits, k);
    return 0;
}

static void part_chunk(void *ctx, int chunk, int lane)
{
    struct gbt_grow *w = ctx;
    const struct gbt_store *s = w->set.store;
    size_t from = (size_t)chunk * PART_CHUNK, n = w->part_n - from;
    const uint32_t *idx = w->part_rows != NULL ? w->part_rows + from : NULL;
    size_t at = (size_t)chunk * PART_STEP;
    struct gbt_part out = { w->halves.left + at, w->halves.right + at, NULL, NULL };
    const uint32_t *gh = NULL;
    int c = w->part_rule->column;

    (void)lane;
    n = n < PART_CHUNK ? n : PART_CHUNK;
    if (!w->is_plain) {
        out.left_gh = w->halves.left_gh + at;
        out.right_gh = w->halves.right_gh + at;
        gh = w->part_gh + from;
    }
    if (c < s->n_narrow)
        w->n_left[chunk] = gbt_hist_part(s->narrow + (size_t)c * s->n_rows, w->part_rule->code_bits,
                                         idx, gh, from, n, &out);
    else
        w->n_left[chunk] = gbt_hist_part_wide(s->wide + (size_t)(c - s->n_narrow) * s->n_rows,
                                              w->part_rule->code_bits, idx, gh, from, n, &out);
}

/* Both halves of a chunk to their places: lefts of all chunks, then rights of all. */
static void move_chunk(void *ctx, int chunk, int lane)
{
    struct gbt_grow *w = ctx;
    size_t from = (size_t)chunk * PART_CHUNK, n = w->part_n - from, l = w->n_left[chunk];
    size_t n_chunks = (w->part_n + PART_CHUNK - 1) / PART_CHUNK;
    size_t all_left = w->left_at[n_chunks], at = (size_t)chunk * PART_STEP, to_left, to_right;

    (void)lane;
    n = n < PART_CHUNK ? n : PART_CHUNK;
    to_left = w->part_first + w->left_at[chunk];
    to_right = w->part_first + all_left + from - w->left_at[chunk];
    memcpy(w->rows + to_left, w->halves.left + at, l * sizeof *w->rows);
    memcpy(w->rows + to_right, w->halves.right + at, (n - l) * sizeof *w->rows);
    if (w->is_plain)
        return;
    memcpy(w->gh_rows + to_left, w->halves.left_gh + at, l * sizeof *w->rows);
    memcpy(w->gh_rows + to_right, w->halves.right_gh + at, (n - l) * sizeof *w->rows);
}

/* Parts the rows of a leaf; returns how many went left. */
size_t gbt_grow_part(struct gbt_grow *w, const struct grow_leaf *l, struct grow_rule *rule)
{
    int n_chunks = (int)((l->n + PART_CHUNK - 1) / PART_CHUNK);

    w->part_rows = w->rows + l->first;
    w->part_gh = w->is_plain ? NULL : w->gh_rows + l->first;
    if (l->node < 0) { /* the root: rows in the bag, or all of them */
        w->part_rows = w->task->rows;
        if (w->task->rows == NULL) {
            w->part_gh = w->gh;
        } else if (!w->is_plain) { /* words by row: into the order of the bag */
            for (size_t i = 0; i < l->n; i++)
                w->gh_rows[i] = w->gh[w->task->rows[i]];
        }
    }
    w->part_first = l->first;
    w->part_n = l->n;
    w->part_rule = rule;
    par_run(w->set.par, n_chunks, part_chunk, w);
    w->left_at[0] = 0;
    for (int i = 0; i < n_chunks; i++)
        w->left_at[i + 1] = w->left_at[i] + w->n_left[i];
    par_run(w->set.par, n_chunks, move_chunk, w);
    return w->left_at[n_chunks];
}
