#include <stdlib.h>

#include "base/mem.h"
#include "check.h"
#include "model/gbt_predict.h"
#include "model/gbt_shap.h"
#include "model/gbt_text.h"

#define HEAD "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n" \
             "max_feature_idx=1\nobjective=regression\nfeature_names=a b\n\n"
#define NODES "num_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=0.5 1\n"
#define TAIL "leaf_value=1 2 4\nleaf_count=1 2 3\ninternal_count=6 5\n\nend of trees\n"

static int read_text(struct gbt_model **m, const char *text, struct err *e)
{
    e->code = ERR_NONE;
    return gbt_text_read(m, text, strlen(text), e);
}

static void refuse(const char *text, enum err_code code)
{
    struct gbt_model *m;
    struct err e;

    CHECK_INT(read_text(&m, text, &e), -1);
    CHECK(m == NULL);
    if (e.code != code)
        printf("%s\n", e.text);
    CHECK_INT(e.code, code);
}

static void test_bad(void)
{
    refuse("", ERR_PARSE);
    refuse("trees\n", ERR_PARSE);
    refuse("tree\nversion=v9\n", ERR_UNSUPPORTED);
    refuse("tree\nmax_feature_idx=99999999999\n", ERR_PARSE);
    refuse("tree\nmax_feature_idx=999999\nfeature_names=a\n", ERR_PARSE);
    refuse("tree\nmax_feature_idx=1\nfeature_names=a b\nobjective=mystery\n", ERR_UNSUPPORTED);
    refuse(HEAD, ERR_PARSE);
    refuse(HEAD "Tree=0\nnum_leaves=1000000\nleaf_value=1\n\nend of trees\n", ERR_PARSE);
    refuse(HEAD "Tree=0\nnum_leaves=0\n\nend of trees\n", ERR_PARSE);
    refuse(HEAD "Tree=0\nnum_leaves=1\nleaf_value=nan\n\nend of trees\n", ERR_PARSE);
    refuse(HEAD "Tree=0\nnum_leaves=1\nleaf_value=1\nis_linear=1\n\nend of trees\n", ERR_UNSUPPORTED);
    /* a loop, a child met twice, a child out of range, a feature out of range */
    refuse(HEAD "Tree=0\n" NODES "decision_type=2 2\nleft_child=0 -1\nright_child=-2 -3\n" TAIL, ERR_PARSE);
    refuse(HEAD "Tree=0\n" NODES "decision_type=2 2\nleft_child=1 -1\nright_child=-1 -3\n" TAIL, ERR_PARSE);
    refuse(HEAD "Tree=0\n" NODES "decision_type=2 2\nleft_child=1 -1\nright_child=-2 -9\n" TAIL, ERR_PARSE);
    refuse(HEAD "Tree=0\n" NODES "decision_type=3 2\nleft_child=1 -1\nright_child=-2 -3\n" TAIL, ERR_PARSE);
    refuse(HEAD "Tree=0\nnum_leaves=2\nsplit_feature=2\nthreshold=0\ndecision_type=2\nleft_child=-1\n"
           "right_child=-2\nleaf_value=1 2\n\nend of trees\n", ERR_PARSE);
}

static const char *const good = HEAD "Tree=0\n" NODES
    "decision_type=2 10\nleft_child=1 -1\nright_child=-2 -3\n" TAIL;

static void test_good(void)
{
    struct gbt_model *m;
    struct gbt_shap *s;
    struct err e;
    double row[2] = { 0, 1 }, out, phi[3];

    CHECK_INT(read_text(&m, good, &e), 0);
    gbt_predict_raw(m, row, 0, &out);
    CHECK_NEAR(out, 1, 0, 1);
    row[1] = NAN; /* missing goes left by default */
    gbt_predict_raw(m, row, 0, &out);
    CHECK_NEAR(out, 1, 0, 1);
    row[1] = 2;
    gbt_predict_raw(m, row, 0, &out);
    CHECK_NEAR(out, 4, 0, 1);
    row[0] = NAN; /* no missing type nan there: counts as zero */
    gbt_predict_raw(m, row, 0, &out);
    CHECK_NEAR(out, 4, 0, 1);
    row[0] = 1;
    gbt_predict_raw(m, row, 0, &out);
    CHECK_NEAR(out, 2, 0, 1);
    CHECK_INT(gbt_shap_new(&s, m, &e), 0);
    gbt_shap_row(s, row, 0, phi);
    CHECK_NEAR(phi[0] + phi[1] + phi[2], out, 1e-12, 1);
    CHECK_NEAR(phi[2], (1 + 2 * 2 + 3 * 4) / 6.0, 1e-12, 1);
    gbt_shap_free(s);
    gbt_model_free(m);
}

/* Each allocation fails in turn: an error, no leak. */
static void test_nomem(void)
{
    struct gbt_model *m;
    struct buf b;
    struct err e;
    size_t n = 1;
    int rc = -1;

    for (; rc != 0 && n < 200; n++) {
        mem_fail_at(n);
        rc = read_text(&m, good, &e);
        CHECK(rc == 0 || e.code == ERR_NOMEM);
    }
    CHECK(n > 5 && n < 200);
    for (n = 1, rc = -1; rc != 0 && n < 200; n++) {
        buf_init(&b, GBT_TEXT_MAX);
        mem_fail_at(n);
        rc = gbt_text_write(m, 0, &b, &e);
        CHECK(rc == 0 || e.code == ERR_NOMEM);
        buf_deinit(&b);
    }
    mem_fail_at(0);
    gbt_model_free(m);
    CHECK_INT(mem_live(), 0);
}

static void test_files(void)
{
    struct gbt_model *m, *again;
    struct err e;
    const char *path = "gbt_text_test.part";

    CHECK_INT(gbt_text_load(&m, "no/such/file", &e), -1);
    CHECK_INT(gbt_text_load(&m, "/", &e), -1);
    CHECK_INT(read_text(&m, good, &e), 0);
    CHECK_INT(gbt_text_save(m, 0, path, &e), 0);
    CHECK_INT(gbt_text_load(&again, path, &e), 0);
    CHECK_INT(again->n_trees, 1);
    CHECK_INT(gbt_text_save(m, 0, "no/such/folder/file", &e), -1);
    remove(path);
    gbt_model_free(m);
    gbt_model_free(again);
}

int main(void)
{
    test_bad();
    test_good();
    test_nomem();
    test_files();
    CHECK_INT(mem_live(), 0);
    return check_done();
}
