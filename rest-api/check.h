/*
 * check - what clients send, checked value by value.
 *
 * Pure; each returns false and names the attribute in *err (ERR_INVALID).
 */
#ifndef CAIRN_REST_API_CHECK_H
#define CAIRN_REST_API_CHECK_H

#include "rest-api/resource.h"

#define INT_LIMIT INT64_C(2147483647)

/* The value of an attribute against its row; `style` words the message.  A
 * number or boolean given as text is accepted and replaced in *value (then a
 * new reference in *owned, to be released by the caller). */
bool check_value(const struct attr *a, enum api_style style,
                 const json_t *value, json_t **owned, struct error *err);

bool check_ip(const char *s);                /* v4 or v6 */
bool check_cidr(const char *s);              /* address/prefix */
bool check_mac(const char *s);               /* aa:bb:cc:dd:ee:ff */
bool check_id(const char *s);                /* UUID or 32 hex digits */
size_t utf8_length(const char *s);           /* characters */
bool parse_bool(const char *s, bool *value); /* true/false/1/0/yes/no .. */

#endif
