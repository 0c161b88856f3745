/*
 * gbt_text_read.c - the reader of gbt_text.h: header lines, then one block per tree, then lists we
 * keep as they are. Nothing is trusted: sizes are checked before memory is asked for, and
 * gbt_tree_check proves that every tree is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/gbt_text.h"

struct span {
    const char *at, *end;
};

struct lines {
    const char *at, *end;
    int n; /* lines handed out */
};

/* The next line without its end; 0 when there is none. */
static int next_line(struct lines *l, struct span *line)
{
    const char *nl;

    if (l->at >= l->end)
        return 0;
    nl = memchr(l->at, '\n', (size_t)(l->end - l->at));
    line->at = l->at;
    line->end = nl != NULL ? nl : l->end;
    l->at = nl != NULL ? nl + 1 : l->end;
    l->n++;
    if (line->end > line->at && line->end[-1] == '\r')
        line->end--;
    return 1;
}

static int is_text(struct span s, const char *text)
{
    size_t n = strlen(text);

    return (size_t)(s.end - s.at) == n && memcmp(s.at, text, n) == 0;
}

/* "key=value": is the key `key`, and what is the value? */
static int is_key(struct span line, const char *key, struct span *value)
{
    size_t n = strlen(key);

    if ((size_t)(line.end - line.at) <= n || memcmp(line.at, key, n) != 0 || line.at[n] != '=')
        return 0;
    value->at = line.at + n + 1;
    value->end = line.end;
    return 1;
}

/* The next word; 0 at the end. */
static int next_word(struct span *s, struct span *word)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t'))
        s->at++;
    word->at = s->at;
    while (s->at < s->end && *s->at != ' ' && *s->at != '\t')
        s->at++;
    word->end = s->at;
    return word->end > word->at;
}

static int word_double(struct span w, double *out)
{
    char copy[64], *end;
    size_t n = (size_t)(w.end - w.at);

    if (n == 0 || n >= sizeof copy)
        return -1;
    memcpy(copy, w.at, n);
    copy[n] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0' ? 0 : -1;
}

static int word_int(struct span w, int64_t low, int64_t high, int64_t *out)
{
    int64_t v = 0;
    int minus = w.at < w.end && *w.at == '-';
    const char *p = w.at + minus;

    if (p >= w.end || w.end - p > 18)
        return -1;
    for (; p < w.end; p++) {
        if (*p < '0' || *p > '9')
            return -1;
        v = v * 10 + (*p - '0');
    }
    v = minus ? -v : v;
    if (v < low || v > high)
        return -1;
    *out = v;
    return 0;
}

static char *span_dup(struct span s)
{
    size_t n = (size_t)(s.end - s.at);
    char *p = mem_alloc(n + 1);

    if (p != NULL) {
        memcpy(p, s.at, n);
        p[n] = '\0';
    }
    return p;
}

/* A header line with one number. */
static int head_int(struct span v, const char *key, int64_t low, int64_t high, int *out,
                    struct err *e)
{
    int64_t x;

    if (word_int(v, low, high, &x) != 0)
        return err_set(e, ERR_PARSE, "%s=%.*s: a number from %lld to %lld expected", key,
                       (int)(v.end - v.at > 40 ? 40 : v.end - v.at), v.at, (long long)low,
                       (long long)high);
    *out = (int)x;
    return 0;
}

/* Splits into exactly n words. */
static int head_words(struct span v, const char *key, int n, char ***out, struct err *e)
{
    struct span w;
    char **list;
    int i = 0;

    if (*out != NULL)
        return err_set(e, ERR_PARSE, "%s stands twice", key);
    if (n == 0) /* a list of none now would be one of max_feature_idx + 1 later */
        return err_set(e, ERR_PARSE, "%s stands before max_feature_idx", key);
    /* n was taken from the file: every word needs two bytes of it */
    if ((v.end - v.at) / 2 + 1 < n)
        return err_set(e, ERR_PARSE, "%s has fewer words than max_feature_idx + 1 = %d", key, n);
    list = *out = mem_zero((size_t)n, sizeof *list);
    if (list == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %s", key);
    for (; next_word(&v, &w); i++) {
        if (i == n)
            return err_set(e, ERR_PARSE, "%s has more words than max_feature_idx + 1 = %d", key, n);
        list[i] = span_dup(w);
        if (list[i] == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %s", key);
    }
    if (i < n)
        return err_set(e, ERR_PARSE, "%s has %d words, max_feature_idx + 1 = %d expected", key, i, n);
    return 0;
}

static int head_monotone(struct gbt_model *m, struct span v, struct err *e)
{
    struct span w;
    int i = 0;

    if (m->monotone != NULL)
        return err_set(e, ERR_PARSE, "monotone_constraints stands twice");
    if (m->n_features == 0)
        return err_set(e, ERR_PARSE, "monotone_constraints stands before max_feature_idx");
    m->monotone = mem_zero((size_t)m->n_features, sizeof *m->monotone);
    if (m->monotone == NULL)
        return err_set(e, ERR_NOMEM, "no memory for monotone_constraints");
    for (; next_word(&v, &w); i++) {
        int64_t x;

        if (i == m->n_features || word_int(w, -1, 1, &x) != 0)
            return err_set(e, ERR_PARSE, "monotone_constraints: %d numbers of -1, 0, 1 expected",
                           m->n_features);
        m->monotone[i] = (int)x;
    }
    return 0;
}

static int head_line(struct gbt_model *m, struct span line, struct err *e)
{
    struct span v;

    if (is_key(line, "version", &v)) {
        if (!is_text(v, "v2") && !is_text(v, "v3") && !is_text(v, "v4"))
            return err_set(e, ERR_UNSUPPORTED, "model version %.*s: v2, v3 or v4 expected",
                           (int)(v.end - v.at > 20 ? 20 : v.end - v.at), v.at);
    } else if (is_key(line, "num_class", &v)) {
        return head_int(v, "num_class", 1, GBT_CLASSES_MAX, &m->n_class, e);
    } else if (is_key(line, "num_tree_per_iteration", &v)) {
        return head_int(v, "num_tree_per_iteration", 1, GBT_CLASSES_MAX, &m->n_per_iter, e);
    } else if (is_key(line, "label_index", &v)) {
        return head_int(v, "label_index", -1, GBT_FEATURES_MAX, &m->label_index, e);
    } else if (is_key(line, "max_feature_idx", &v)) {
        if (m->n_features > 0)
            return err_set(e, ERR_PARSE, "max_feature_idx stands twice");
        if (head_int(v, "max_feature_idx", 0, GBT_FEATURES_MAX - 1, &m->n_features, e) != 0)
            return -1;
        m->n_features++;
    } else if (is_key(line, "objective", &v)) {
        char text[256];
        size_t n = (size_t)(v.end - v.at);

        if (n >= sizeof text || memchr(v.at, '\0', n) != NULL)
            return err_set(e, ERR_PARSE, "the objective is too long");
        memcpy(text, v.at, n);
        text[n] = '\0';
        return gbt_model_objective(m, text, e);
    } else if (is_text(line, "average_output")) {
        m->average_output = 1;
    } else if (is_key(line, "feature_names", &v)) {
        return head_words(v, "feature_names", m->n_features, &m->feature_names, e);
    } else if (is_key(line, "feature_infos", &v)) {
        return head_words(v, "feature_infos", m->n_features, &m->feature_infos, e);
    } else if (is_key(line, "monotone_constraints", &v)) {
        return head_monotone(m, v, e);
    }
    return 0; /* tree_sizes and what later versions add */
}

/* The arrays of one tree, as they stand in the file. */
enum tree_key { K_FEATURE, K_GAIN, K_THRESHOLD, K_DECISION, K_LEFT, K_RIGHT, K_LEAF, K_LEAF_WEIGHT,
                K_LEAF_COUNT, K_NODE, K_NODE_WEIGHT, K_NODE_COUNT, K_CAT_START, K_CAT_WORDS,
                N_KEYS };
static const char *const tree_keys[N_KEYS] = {
    "split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child",
    "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight",
    "internal_count", "cat_boundaries", "cat_threshold",
};

struct block {
    int n_leaves, n_cat;
    double shrinkage;
    struct span s[N_KEYS];
};

static int block_line(struct block *b, struct span line, struct err *e)
{
    struct span v;
    int x = 0;

    if (is_key(line, "num_leaves", &v))
        return head_int(v, "num_leaves", 1, GBT_LEAVES_MAX, &b->n_leaves, e);
    if (is_key(line, "num_cat", &v))
        return head_int(v, "num_cat", 0, GBT_LEAVES_MAX, &b->n_cat, e);
    if (is_key(line, "is_linear", &v)) {
        if (head_int(v, "is_linear", 0, 1, &x, e) != 0)
            return -1;
        return x ? err_set(e, ERR_UNSUPPORTED, "linear trees are not supported") : 0;
    }
    if (is_key(line, "shrinkage", &v)) {
        if (word_double(v, &b->shrinkage) != 0)
            return err_set(e, ERR_PARSE, "shrinkage is not a number");
        return 0;
    }
    for (int k = 0; k < N_KEYS; k++)
        if (is_key(line, tree_keys[k], &b->s[k]))
            return 0;
    return 0;
}

static int count_words(struct span s)
{
    struct span w;
    int n = 0;

    while (next_word(&s, &w))
        n++;
    return n;
}

static int fill_double(struct span s, const char *key, double *out, int n, int optional,
                       struct err *e)
{
    struct span w;
    int i = 0;

    for (; i < n && next_word(&s, &w); i++)
        if (word_double(w, &out[i]) != 0)
            return err_set(e, ERR_PARSE, "%s: entry %d is not a number", key, i);
    if ((i < n && !(optional && i == 0)) || next_word(&s, &w))
        return err_set(e, ERR_PARSE, "%s: %d numbers expected", key, n);
    return 0;
}

/* Counts: whole numbers, though old versions wrote some as 1e+06. */
static int fill_count(struct span s, const char *key, int64_t *out, int n, struct err *e)
{
    struct span w;
    int i = 0;

    for (; i < n && next_word(&s, &w); i++) {
        double x;

        if (word_double(w, &x) != 0 || !(fabs(x) <= 9e15))
            return err_set(e, ERR_PARSE, "%s: entry %d is not a count", key, i);
        out[i] = (int64_t)x;
    }
    if ((i > 0 && i < n) || next_word(&s, &w))
        return err_set(e, ERR_PARSE, "%s: %d numbers expected", key, n);
    return 0;
}

static int fill_int(struct span s, const char *key, int *out, int n, int64_t low, int64_t high,
                    struct err *e)
{
    struct span w;
    int64_t x;
    int i = 0;

    for (; i < n && next_word(&s, &w); i++) {
        if (word_int(w, low, high, &x) != 0)
            return err_set(e, ERR_PARSE, "%s: entry %d is not a number from %lld to %lld", key, i,
                           (long long)low, (long long)high);
        out[i] = (int)x;
    }
    if (i < n || next_word(&s, &w))
        return err_set(e, ERR_PARSE, "%s: %d numbers expected", key, n);
    return 0;
}

static int fill_nodes(struct gbt_tree *t, const struct block *b, int n, struct err *e)
{
    struct span s = b->s[K_DECISION], w, g = b->s[K_GAIN];
    double x;
    int64_t v;

    if (fill_int(b->s[K_FEATURE], "split_feature", t->feature, n, 0, GBT_FEATURES_MAX, e) != 0 ||
        fill_int(b->s[K_LEFT], "left_child", t->left, n, -GBT_LEAVES_MAX, GBT_LEAVES_MAX, e) != 0 ||
        fill_int(b->s[K_RIGHT], "right_child", t->right, n, -GBT_LEAVES_MAX, GBT_LEAVES_MAX, e) != 0 ||
        fill_double(b->s[K_THRESHOLD], "threshold", t->threshold, n, 0, e) != 0 ||
        fill_double(b->s[K_NODE], "internal_value", t->node_value, n, 1, e) != 0 ||
        fill_double(b->s[K_NODE_WEIGHT], "internal_weight", t->node_weight, n, 1, e) != 0 ||
        fill_count(b->s[K_NODE_COUNT], "internal_count", t->node_count, n, e) != 0)
        return -1;
    for (int i = 0; i < n; i++) {
        if (!next_word(&s, &w) || word_int(w, 0, 15, &v) != 0)
            return err_set(e, ERR_PARSE, "decision_type: entry %d is not a number from 0 to 15", i);
        t->decision[i] = (uint8_t)v;
        if (next_word(&g, &w)) {
            if (word_double(w, &x) != 0)
                return err_set(e, ERR_PARSE, "split_gain: entry %d is not a number", i);
            t->gain[i] = (float)x;
        }
    }
    return 0;
}

static int fill_cats(struct gbt_tree *t, const struct block *b, struct err *e)
{
    struct span s = b->s[K_CAT_WORDS], w;
    int64_t v;

    if (t->n_cat == 0)
        return 0;
    if (fill_int(b->s[K_CAT_START], "cat_boundaries", t->cat_start, t->n_cat + 1, 0, t->n_words,
                 e) != 0)
        return -1;
    for (int i = 0; next_word(&s, &w); i++) {
        if (word_int(w, 0, UINT32_MAX, &v) != 0)
            return err_set(e, ERR_PARSE, "cat_threshold: entry %d is not a 32-bit word", i);
        t->cat_words[i] = (uint32_t)v;
    }
    return 0;
}

static int block_tree(const struct block *b, const struct gbt_model *m, struct gbt_tree **out,
                      struct err *e)
{
    int n = b->n_leaves - 1, n_words = 0;
    struct gbt_tree *t;

    if (b->n_leaves == 0)
        return err_set(e, ERR_PARSE, "num_leaves is missing");
    /* before memory is asked for: every leaf takes two bytes of the file */
    if (b->s[K_LEAF].end - b->s[K_LEAF].at < 2 * (ptrdiff_t)b->n_leaves - 1)
        return err_set(e, ERR_PARSE, "leaf_value: %d numbers expected", b->n_leaves);
    if (b->n_cat > 0) {
        if (b->n_cat > n)
            return err_set(e, ERR_PARSE, "num_cat is %d with %d nodes", b->n_cat, n);
        n_words = count_words(b->s[K_CAT_WORDS]);
    }
    t = gbt_tree_new(b->n_leaves, b->n_cat, n_words);
    if (t == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a tree of %d leaves", b->n_leaves);
    t->shrinkage = b->shrinkage;
    if (fill_double(b->s[K_LEAF], "leaf_value", t->leaf_value, b->n_leaves, 0, e) != 0 ||
        fill_double(b->s[K_LEAF_WEIGHT], "leaf_weight", t->leaf_weight, b->n_leaves, 1, e) != 0 ||
        fill_count(b->s[K_LEAF_COUNT], "leaf_count", t->leaf_count, b->n_leaves, e) != 0 ||
        fill_nodes(t, b, n, e) != 0 || fill_cats(t, b, e) != 0 ||
        gbt_tree_check(t, m->n_features, e) != 0) {
        gbt_tree_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

static int add_block(struct gbt_model *m, const struct block *b, struct err *e)
{
    struct gbt_tree *t = NULL;

    if (block_tree(b, m, &t, e) != 0)
        return err_wrap(e, "tree %d", m->n_trees);
    return gbt_model_add(m, t, e);
}

/* Header complete: defaults for what may be missing. */
static int head_end(struct gbt_model *m, struct err *e)
{
    if (m->n_features == 0)
        return err_set(e, ERR_PARSE, "max_feature_idx is missing");
    if (m->feature_names == NULL)
        return err_set(e, ERR_PARSE, "feature_names is missing");
    if (m->objective == NULL && gbt_model_objective(m, "", e) != 0)
        return -1;
    if (m->link == GBT_LINK_SOFTMAX && m->n_per_iter != m->n_class)
        return err_set(e, ERR_PARSE, "num_tree_per_iteration is %d with %d classes", m->n_per_iter,
                       m->n_class);
    return 0;
}

/* Behind the trees: keep the parameters and the pandas line as they are. */
static int read_tail(struct gbt_model *m, struct lines *l, struct err *e)
{
    struct span line, rest = { NULL, NULL };

    while (next_line(l, &line)) {
        if (is_text(line, "parameters:")) {
            rest.at = rest.end = l->at;
            while (next_line(l, &line) && !is_text(line, "end of parameters"))
                rest.end = l->at;
            mem_free(m->parameters);
            m->parameters = span_dup(rest);
            if (m->parameters == NULL)
                return err_set(e, ERR_NOMEM, "no memory for the parameters");
            m->importance_kind =
                strstr(m->parameters, "[saved_feature_importance_type: 1]") != NULL;
        } else if (line.end - line.at > 19 && memcmp(line.at, "pandas_categorical:", 19) == 0) {
            mem_free(m->pandas);
            m->pandas = span_dup(line);
            if (m->pandas == NULL)
                return err_set(e, ERR_NOMEM, "no memory for the pandas line");
        }
    }
    return 0;
}

static int read_all(struct gbt_model *m, struct lines *l, struct err *e)
{
    struct span line, v;
    struct block b;
    int in_tree = 0, ended = 0;

    while (!in_tree && !ended && next_line(l, &line)) {
        if (is_key(line, "Tree", &v))
            in_tree = 1;
        else if (is_text(line, "end of trees"))
            ended = 1;
        else if (head_line(m, line, e) != 0)
            return err_wrap(e, "line %d", l->n);
    }
    if (head_end(m, e) != 0)
        return -1;
    while (in_tree && !ended) {
        memset(&b, 0, sizeof b);
        b.shrinkage = 1;
        in_tree = 0;
        while (!in_tree && !ended && next_line(l, &line)) {
            if (is_key(line, "Tree", &v))
                in_tree = 1;
            else if (is_text(line, "end of trees"))
                ended = 1;
            else if (block_line(&b, line, e) != 0)
                return err_wrap(e, "line %d", l->n);
        }
        if (add_block(m, &b, e) != 0)
            return -1;
    }
    if (!ended)
        return err_set(e, ERR_PARSE, "the file ends before \"end of trees\"");
    if (m->n_trees % m->n_per_iter != 0)
        return err_set(e, ERR_PARSE, "%d trees do not make whole iterations of %d", m->n_trees,
                       m->n_per_iter);
    return read_tail(m, l, e);
}

int gbt_text_read(struct gbt_model **out, const char *text, size_t len, struct err *e)
{
    struct lines l = { text, text + len, 0 };
    struct span line;
    struct gbt_model *m;

    *out = NULL;
    if (!next_line(&l, &line) || !is_text(line, "tree"))
        return err_set(e, ERR_PARSE, "not a model file: the first line is not \"tree\"");
    if (memchr(text, '\0', len) != NULL)
        return err_set(e, ERR_PARSE, "not a model file: it holds a zero byte");
    m = gbt_model_new();
    if (m == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a model");
    if (read_all(m, &l, e) != 0) {
        gbt_model_free(m);
        return -1;
    }
    *out = m;
    return 0;
}

int gbt_text_load(struct gbt_model **out, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -1;
    struct stat st;
    char *text = NULL;
    size_t len = 0;

    *out = NULL;
    if (fd < 0)
        return err_errno(e, errno, "model file %s", path);
    if (fstat(fd, &st) != 0) {
        err_errno(e, errno, "model file %s", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_INVALID, "model file %s is not a file", path);
        goto done;
    }
    if ((size_t)st.st_size > GBT_TEXT_MAX) {
        err_set(e, ERR_LIMIT, "model file %s has %lld bytes, at most %zu allowed", path,
                (long long)st.st_size, GBT_TEXT_MAX);
        goto done;
    }
    text = mem_alloc((size_t)st.st_size);
    if (text == NULL) {
        err_set(e, ERR_NOMEM, "no memory for model file %s", path);
        goto done;
    }
    while (len < (size_t)st.st_size) {
        ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_errno(e, errno, "model file %s", path);
            goto done;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    rc = gbt_text_read(out, text, len, e);
    if (rc != 0)
        err_wrap(e, "model file %s", path);
done:
    mem_free(text);
    close(fd);
    return rc;
}
