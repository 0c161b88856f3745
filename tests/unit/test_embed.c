#include "base/embed.h"
#include "check.h"

int main(void)
{
    const struct embed_file *f, *before = NULL;
    size_t n = 0;

    for (size_t at = 0; (f = embed_next("", &at)) != NULL; n++) {
        if (before != NULL)
            CHECK(strcmp(before->name, f->name) < 0); /* embed_find halves the table */
        CHECK(embed_find(f->name) == f);
        CHECK_INT(f->data[f->bytes], 0);
        before = f;
    }
    CHECK_INT(n, embed_count());
    CHECK(embed_find("lua/no such file") == NULL);
    CHECK(embed_find("") == NULL);
    for (size_t at = 0; (f = embed_next("lua/", &at)) != NULL;)
        CHECK_INT(strncmp(f->name, "lua/", 4), 0);
    size_t at = 0;
    CHECK(embed_next("nothing/", &at) == NULL);
    return check_done();
}
