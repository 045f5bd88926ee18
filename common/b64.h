/*
 * b64 - base64 by RFC 4648, standard alphabet.
 */
#ifndef CAIRN_COMMON_B64_H
#define CAIRN_COMMON_B64_H

#include "common/buf.h"

void b64_encode(struct buf *out, const void *data, size_t len);
/* Appends the bytes that `text` stands for; white space is skipped, padding
 * must be right.  False (`out` may hold a part) when it is not base64. */
bool b64_decode(struct buf *out, const char *text);

#endif
