#include "rest-api/check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool check_ip(const char *s)
{
    unsigned char addr[16];
    return inet_pton(AF_INET, s, addr) == 1 ||
           inet_pton(AF_INET6, s, addr) == 1;
}

bool check_cidr(const char *s)
{
    char text[INET6_ADDRSTRLEN];
    const char *slash = strchr(s, '/');
    if (!slash || (size_t)(slash - s) >= sizeof(text) ||
        !isdigit((unsigned char)slash[1]))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)(slash - s), s);
    char *end;
    long bits = strtol(slash + 1, &end, 10);
    return check_ip(text) && !*end && bits >= 0 &&
           bits <= (strchr(text, ':') ? 128 : 32);
}

bool check_mac(const char *s)
{
    if (strlen(s) != 17)
        return false;
    for (int i = 0; i < 17; i++)
        if (i % 3 == 2 ? s[i] != ':' : !isxdigit((unsigned char)s[i]))
            return false;
    return true;
}

bool check_id(const char *s)
{
    return uuid_valid(s) ||
           (strlen(s) == 32 && strspn(s, "0123456789abcdefABCDEF") == 32);
}

size_t utf8_length(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

bool parse_bool(const char *s, bool *value)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {
        { "true", true }, { "false", false }, { "1", true },  { "0", false },
        { "yes", true },  { "no", false },    { "on", true }, { "off", false },
        { "t", true },    { "f", false },     { "y", true },  { "n", false },
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcasecmp(words[i].text, s) == 0) {
            *value = words[i].value;
            return true;
        }
    return false;
}

/* ---- one function a check ---------------------------------------------- */

typedef bool value_fn(const struct attr *a, const json_t *value, json_t **owned,
                      struct error *err);

static bool refuse(struct error *err, const struct attr *a, const char *what)
{
    return error_set(err, ERR_INVALID, "Invalid input for %s: %s", a->name,
                     what);
}

static bool length_ok(const struct attr *a, const char *s, int64_t most,
                      struct error *err)
{
    int64_t n = (int64_t)utf8_length(s);
    int64_t max = a->max ? a->max : most;
    if (n < a->min)
        return error_set(err, ERR_INVALID,
                         "Invalid input for %s: '%.40s' is too short", a->name,
                         s);
    if (n > max)
        return error_set(err, ERR_INVALID,
                         "Invalid input for %s: '%.40s...' exceeds maximum "
                         "length of %" PRId64,
                         a->name, s, max);
    return true;
}

static bool value_string(const struct attr *a, const json_t *v,
                         struct error *err)
{
    return json_is_string(v) || refuse(err, a, "not a string");
}

static bool value_name(const struct attr *a, const json_t *v, json_t **owned,
                       struct error *err)
{
    return value_string(a, v, err) &&
           length_ok(a, json_string_value(v), 255, err);
}

static bool value_text(const struct attr *a, const json_t *v, json_t **owned,
                       struct error *err)
{
    return value_name(a, v, owned, err);
}

static bool value_bool(const struct attr *a, const json_t *v, json_t **owned,
                       struct error *err)
{
    bool b;
    if (json_is_boolean(v))
        return true;
    if (json_is_string(v) && parse_bool(json_string_value(v), &b))
        return (*owned = json_boolean(b)) != NULL;
    if (json_is_integer(v) && (json_integer_value(v) & ~1LL) == 0)
        return (*owned = json_boolean(json_integer_value(v))) != NULL;
    return refuse(err, a, "cannot be converted to boolean");
}

static bool value_int(const struct attr *a, const json_t *v, json_t **owned,
                      struct error *err)
{
    int64_t max = a->max ? a->max : INT_LIMIT;
    int64_t n = json_integer_value(v);
    if (json_is_string(v)) {
        char *end;
        const char *s = json_string_value(v);
        errno = 0;
        n = strtoll(s, &end, 10);
        if (errno || end == s || *end)
            return refuse(err, a, "is not an integer");
        *owned = json_integer(n);
    } else if (!json_is_integer(v)) {
        return refuse(err, a, "is not an integer");
    }
    if (n < a->min || n > max)
        return error_set(err, ERR_INVALID,
                         "Invalid input for %s: %" PRId64
                         " is not between %" PRId64 " and %" PRId64,
                         a->name, n, a->min, max);
    return true;
}

static bool value_enum(const struct attr *a, const json_t *v, json_t **owned,
                       struct error *err)
{
    if (!value_string(a, v, err))
        return false;
    for (const char *const *c = a->choices; *c; c++)
        if (strcmp(*c, json_string_value(v)) == 0)
            return true;
    struct buf list = BUF_INIT(256);
    for (const char *const *c = a->choices; *c; c++)
        buf_addf(&list, "%s%s", list.len ? ", " : "", *c);
    error_set(err, ERR_INVALID,
              "Invalid input for %s: '%.40s' is not one of [%s]", a->name,
              json_string_value(v), buf_str(&list));
    buf_free(&list);
    return false;
}

static bool value_formed(const struct attr *a, const json_t *v,
                         bool (*formed)(const char *), const char *what,
                         struct error *err)
{
    return value_string(a, v, err) &&
           (formed(json_string_value(v)) ||
            error_set(err, ERR_INVALID,
                      "Invalid input for %s: '%.64s' is not a valid %s",
                      a->name, json_string_value(v), what));
}

static bool value_id(const struct attr *a, const json_t *v, json_t **owned,
                     struct error *err)
{
    return value_formed(a, v, check_id, "UUID", err);
}

static bool value_ip(const struct attr *a, const json_t *v, json_t **owned,
                     struct error *err)
{
    return value_formed(a, v, check_ip, "IP address", err);
}

static bool value_cidr(const struct attr *a, const json_t *v, json_t **owned,
                       struct error *err)
{
    return value_formed(a, v, check_cidr, "IP subnet", err);
}

static bool value_mac(const struct attr *a, const json_t *v, json_t **owned,
                      struct error *err)
{
    return value_formed(a, v, check_mac, "MAC address", err);
}

#define ITEMS_MAX 200

static bool value_strs(const struct attr *a, const json_t *v, json_t **owned,
                       struct error *err)
{
    size_t i;
    json_t *item;
    if (!json_is_array(v) || json_array_size(v) > ITEMS_MAX)
        return refuse(err, a, "is not a list of at most 200 items");
    json_array_foreach((json_t *)v, i,
                       item) if (!value_string(a, item, err) ||
                                 !length_ok(a, json_string_value(item), 255,
                                            err)) return false;
    return true;
}

static bool value_map(const struct attr *a, const json_t *v, json_t **owned,
                      struct error *err)
{
    const char *key;
    json_t *item;
    if (!json_is_object(v) || json_object_size(v) > ITEMS_MAX)
        return refuse(err, a, "is not an object of at most 200 items");
    json_object_foreach((json_t *)v, key, item)
    {
        if (!*key || utf8_length(key) > 255)
            return refuse(err, a, "a key must have 1 to 255 characters");
        if (!value_string(a, item, err) ||
            !length_ok(a, json_string_value(item), 255, err))
            return false;
    }
    return true;
}

bool check_value(const struct attr *a, enum api_style style,
                 const json_t *value, json_t **owned, struct error *err)
{
    static value_fn *const checks[] = {
        [CHECK_NAME] = value_name, [CHECK_TEXT] = value_text,
        [CHECK_ID] = value_id,     [CHECK_BOOL] = value_bool,
        [CHECK_INT] = value_int,   [CHECK_ENUM] = value_enum,
        [CHECK_IP] = value_ip,     [CHECK_CIDR] = value_cidr,
        [CHECK_MAC] = value_mac,   [CHECK_STRS] = value_strs,
        [CHECK_MAP] = value_map,
    };
    if (json_is_null(value))
        return a->flags & A_NULL || refuse(err, a, "must not be null");
    return a->check == CHECK_NONE || checks[a->check](a, value, owned, err);
}
