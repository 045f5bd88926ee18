/* What strangers may send to a member's or a new node's join: no line makes
 * more of it than an error, but for the right one. */
#include "daemon/join.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char binding[JOIN_BINDING_SIZE] = { 7 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct join_hello me = {
        "", "h1", "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0001", "192.0.2.7"
    };
    const char *line = (const char *)data;
    char text[JOIN_SECRET_SIZE];
    struct error err = { 0 };
    struct join_call call;
    struct join_secret secret;
    struct join_welcome welcome;
    struct join_member m;
    struct join_node n;
    struct buf out = BUF_INIT(2 * JOIN_LINE_MAX);
    join_call_read(line, size, &call);
    join_secret_make(&env_system, text, &secret);
    if (join_member_hello(&m, line, size, binding, &err))
        join_member_challenge(&m, secret.key, &env_system, &out);
    if (join_member_proof(&m, line, size, &err) && m.hello)
        abort();
    join_member_wipe(&m);
    join_node_begin(&n, &me, &secret, binding, &env_system, &out);
    if (join_node_challenge(&n, line, size, &out, &err))
        abort();
    if (join_node_welcome(&n, line, size, &welcome, &err) &&
        (!welcome.n_members || !welcome.ca_key))
        abort();
    join_welcome_wipe(&welcome);
    join_node_wipe(&n);
    buf_free(&out);
    return 0;
}
