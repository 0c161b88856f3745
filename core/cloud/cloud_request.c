/*
 * cloud_request.c - checking a request and handing it to curl. See cloud_request.h.
 */
#include "cloud/cloud_request.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cloud/cloud_body.h"

#define DEFAULT_MAX_BYTES ((uint64_t)32 << 20)

static int is_token(const char *s)
{
    size_t n = 0;

    for (; s[n]; n++)
        if (!isalnum((unsigned char)s[n]) && strchr("!#$%&'*+-.^_`|~", s[n]) == NULL)
            return 0;
    return n > 0;
}

int cloud_request_check(const struct cloud_request *r, struct err *e)
{
    const char *url = r->url ? r->url : "";
    size_t n = strlen(url);

    if (r->method != NULL && (!is_token(r->method) || strlen(r->method) > 32))
        return err_set(e, ERR_INVALID, "method \"%.40s\" is no HTTP method", r->method);
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return err_set(e, ERR_INVALID, "url \"%.100s\": http:// or https:// expected", url);
    if (n > CLOUD_REQUEST_URL_MAX)
        return err_set(e, ERR_INVALID, "url of %zu bytes; at most %d expected", n,
                       CLOUD_REQUEST_URL_MAX);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)url[i] <= 0x20 || url[i] == 0x7F)
            return err_set(e, ERR_INVALID, "url \"%.100s\" has a blank or control character", url);
    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++) {
        const char *h = r->headers[i];
        char name[128];
        size_t len = strcspn(h, ":");
        if (len == 0 || len >= sizeof name || h[len] != ':')
            return err_set(e, ERR_INVALID, "header \"%.60s\": Name: value expected", h);
        memcpy(name, h, len);
        name[len] = '\0';
        if (!is_token(name))
            return err_set(e, ERR_INVALID, "header name \"%.60s\" has a character it may not have", name);
        for (const char *p = h + len + 1; *p; p++)
            if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7F)
                return err_set(e, ERR_INVALID, "header %.60s has a control character", name);
        if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0)
            return err_set(e, ERR_INVALID, "header %s is set by the body, not by hand", name);
    }
    if (r->body != NULL && r->in_fd >= 0)
        return err_set(e, ERR_INVALID, "a body and a file to send: one of them expected");
    return 0;
}

static int add_header(struct cloud_transfer *t, const char *text)
{
    struct curl_slist *l = curl_slist_append(t->headers, text);

    if (l == NULL)
        return -1;
    t->headers = l;
    return 0;
}

static int set_headers(struct cloud_transfer *t, const struct cloud_request *r)
{
    int has_type = 0;
    char empty[160];

    for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++) {
        const char *h = r->headers[i];
        size_t len = strcspn(h, ":");
        has_type |= len == 12 && strncasecmp(h, "Content-Type", 12) == 0;
        if (h[len + 1 + strspn(h + len + 1, " \t")] == '\0') { /* "Name;" is curl's empty value */
            memcpy(empty, h, len);
            memcpy(empty + len, ";", 2);
            h = empty;
        }
        if (add_header(t, h) != 0)
            return -1;
    }
    /* curl would guess a form and ask for 100-continue */
    if ((!has_type && add_header(t, "Content-Type:") != 0) || add_header(t, "Expect:") != 0)
        return -1;
    return 0;
}

static int set_method(struct cloud_transfer *t, const struct cloud_request *r)
{
    const char *method = r->method ? r->method : "GET";
    CURL *c = t->easy;
    int rc = 0;

    if (t->in.fd >= 0) {
        rc |= curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        rc |= curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->in_bytes);
        rc |= curl_easy_setopt(c, CURLOPT_READFUNCTION, cloud_body_give);
        rc |= curl_easy_setopt(c, CURLOPT_READDATA, t);
        rc |= curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, cloud_body_rewind);
        rc |= curl_easy_setopt(c, CURLOPT_SEEKDATA, t);
        if (strcmp(method, "PUT") != 0)
            rc |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
        return rc;
    }
    if (t->body != NULL || strcmp(method, "POST") == 0) {
        rc |= curl_easy_setopt(c, CURLOPT_POST, 1L);
        rc |= curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(t->body ? r->body_bytes : 0));
        rc |= curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->body ? t->body : "");
        if (strcmp(method, "POST") != 0)
            rc |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    } else if (strcmp(method, "HEAD") == 0) {
        rc |= curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else if (strcmp(method, "GET") != 0) {
        rc |= curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    }
    return rc;
}

int cloud_request_apply(const struct cloud_request *r, struct cloud_transfer *t)
{
    CURL *c = t->easy;
    int rc = set_headers(t, r);
    static const long versions[] = { CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_2TLS,
                                     CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE };

    rc |= curl_easy_setopt(c, CURLOPT_URL, r->url);
    rc |= curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    rc |= curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    rc |= curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    rc |= curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    rc |= curl_easy_setopt(c, CURLOPT_USERAGENT, "plastinka/" PLASTINKA_VERSION);
    rc |= curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, cloud_body_take);
    rc |= curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    rc |= curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, cloud_body_head);
    rc |= curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    rc |= curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    rc |= curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_timeout_ms);
    rc |= curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, r->redirects > 0 ? 1L : 0L);
    rc |= curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)r->redirects);
    rc |= curl_easy_setopt(c, CURLOPT_HTTP_VERSION, versions[r->http2 < 0 || r->http2 > 2 ? 0 : r->http2]);
    rc |= curl_easy_setopt(c, CURLOPT_PROXY, r->proxy ? r->proxy : "");
    rc |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, r->no_verify ? 0L : 1L);
    rc |= curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, r->no_verify ? 0L : 2L);
    if (r->ca_file != NULL)
        rc |= curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file);
    if (t->out.fd < 0) /* files are kept as they come */
        rc |= curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    return (rc | set_method(t, r)) != 0 ? -1 : 0;
}

void cloud_request_init(struct cloud_request *r)
{
    *r = (struct cloud_request){ .in_fd = -1, .out_fd = -1, .max_bytes = DEFAULT_MAX_BYTES,
                                 .timeout_ms = 60000, .connect_timeout_ms = 10000 };
}
