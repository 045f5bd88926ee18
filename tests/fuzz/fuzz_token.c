/* Tokens from outside: nothing crashes, nothing opens.  The first byte of the
 * input chooses: the rest as a token's text, or as the payload of one that is
 * sealed rightly (as somebody with a key might). */
#include "rest-api/token.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct tokens *tokens_with_a_key(void)
{
    struct tokens *t = tokens_new(&env_system, NULL);
    struct token_key *k = record_new(&kind_token_key, "00000001");
    k->secret = "0123456789abcdef0123456789abcdef"
                "0123456789abcdef0123456789abcdef";
    tokens_heard(t, NULL, &k->rec);
    record_unref(k);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokens *t;
    struct token token, out;
    char text[TOKEN_TEXT_MAX * 2];
    if (!t)
        t = tokens_with_a_key();
    if (size && (data[0] & 1)) {
        memset(&token, 0, sizeof(token));
        size_t n = size - 1 < sizeof(token) ? size - 1 : sizeof(token);
        memcpy(&token, data + 1, n);
        token.user_id[TOKEN_ID_MAX] = token.scope_id[TOKEN_ID_MAX] = '\0';
        token.app_credential_id[TOKEN_ID_MAX] = '\0';
        token.audit_id[TOKEN_AUDIT_ID_SIZE - 1] = '\0';
        token.parent_audit_id[TOKEN_AUDIT_ID_SIZE - 1] = '\0';
        if (!token_seal(t, &token, text))
            abort();
        if (token_open(t, text, INT64_MIN, &out, NULL) &&
            (strcmp(out.user_id, token.user_id) != 0 ||
             strcmp(out.scope_id, token.scope_id) != 0))
            abort();
        return 0;
    }
    size_t n = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, data, n);
    text[n] = '\0';
    if (token_open(t, text, 0, &out, NULL))
        abort();
    return 0;
}
