/*
 * join - how a new node proves the join secret, and a pool proves it back.
 *
 * A join secret is 128 random bits with a name: "cairn-<8 hex>-<32 hex>".
 * The pool keeps its key, K = SHA-256(label, secret), and never the secret.
 * The new node N opens a TLS 1.3 connection to a member M whose certificate
 * it cannot check yet, and over it they say, one JSON object each:
 *
 *     N -> M  hello     who it is, the secret's name, a nonce
 *     M -> N  challenge a nonce, HMAC(K, "member" | T)
 *     N -> M  proof     HMAC(K, "node" | T)
 *     M -> N  welcome   the pool: its id, its CA, its members;
 *             or refused, with the reason
 *
 * T, the transcript, is the TLS exporter of the connection (RFC 9266 says
 * why that names it), both nonces and the hello as it was sent.  Reasons:
 *
 *  - N checks M first, so that it gives nothing, not even a proof, to one who
 *    does not know the secret; M checks N before it gives the CA's key.
 *  - A man in the middle has two connections with two exporters: what he
 *    relays is an HMAC over the wrong T.  He gains an HMAC of 128 random
 *    bits, which he can try keys against until the sun goes out: therefore
 *    no PAKE is needed (OpenSSL 3.0 has none), and therefore secrets are
 *    made by the pool and never chosen by people.
 *  - The labels keep a proof from being sent back to whom it came from.
 *  - Whoever has K (all members: it is in the pool's state) could join as
 *    well, and is a member anyway.
 *
 * Every member gets the CA's key: each renews its certificate by itself,
 * after a year in the dark too, and no node's loss is the pool's.  A node
 * that is taken out still knows that key; one that was stolen calls for a
 * new pool CA.
 *
 * Pure: no I/O, no clock, no thread.  Lines come from strangers: they are
 * bounded and wholly checked.  Structs are the caller's; join_*_wipe them.
 */
#ifndef CAIRN_DAEMON_JOIN_H
#define CAIRN_DAEMON_JOIN_H

#include "common/buf.h"
#include "common/env.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOIN_LINE_MAX     16384 /* bytes of one message */
#define JOIN_KEY_SIZE     32
#define JOIN_BINDING_SIZE 32 /* bytes of the exporter */
#define JOIN_EXPORTER     "EXPORTER-cairn-join-1"
#define JOIN_NAME_SIZE    9  /* "3f2a91bc" */
#define JOIN_SECRET_SIZE  48 /* with the final NUL */
#define JOIN_TEXT_MAX     64
#define JOIN_MEMBERS_MAX  64
#define JOIN_STATE_MAX    32
#define JOIN_URL_MAX      96

/* ---- secrets ----------------------------------------------------------- */

struct join_secret {
    char name[JOIN_NAME_SIZE];
    unsigned char key[JOIN_KEY_SIZE];
};

/* A new one; `text` is what an administrator carries to the new node. */
void join_secret_make(const struct env *env, char text[JOIN_SECRET_SIZE],
                      struct join_secret *out);
/* Blanks around it are fine. */
bool join_secret_read(const char *text, struct join_secret *out);

/* ---- what is said ------------------------------------------------------ */

/* Of the new node; checked: name is a host name, id a UUID, address an IP. */
struct join_hello {
    char secret[JOIN_NAME_SIZE];
    char node[JOIN_TEXT_MAX];
    char id[UUID_SIZE];
    char address[JOIN_TEXT_MAX];
};

/* What a node knows of its pool; strings are its own. */
struct join_welcome {
    char pool_id[UUID_SIZE];
    char pool_name[JOIN_TEXT_MAX];
    char *ca_cert, *ca_key;                        /* PEM */
    char members[JOIN_MEMBERS_MAX][JOIN_TEXT_MAX]; /* addresses */
    size_t n_members;
    char state[JOIN_STATE_MAX][JOIN_URL_MAX]; /* etcd's host:port */
    size_t n_state;
};
void join_welcome_wipe(struct join_welcome *w);

/* ---- the new node ------------------------------------------------------ */

struct join_node {
    struct join_secret secret;
    unsigned char binding[JOIN_BINDING_SIZE];
    char nonce[33], member_nonce[33];
    char *hello; /* as it was sent */
};

/* Appends the hello to `out`. */
void join_node_begin(struct join_node *j, const struct join_hello *hello,
                     const struct join_secret *secret,
                     const unsigned char binding[JOIN_BINDING_SIZE],
                     const struct env *env, struct buf *out);
/* Takes the challenge; appends the proof.  UNAUTHENTICATED: the other side
 * does not know the secret.  What it refused for is in err. */
bool join_node_challenge(struct join_node *j, const char *line, size_t len,
                         struct buf *out, struct error *err);
bool join_node_welcome(struct join_node *j, const char *line, size_t len,
                       struct join_welcome *welcome, struct error *err);
void join_node_wipe(struct join_node *j);

/* ---- the member -------------------------------------------------------- */

struct join_member {
    struct join_hello said;
    unsigned char binding[JOIN_BINDING_SIZE];
    struct join_secret secret;
    char nonce[33], node_nonce[33];
    char *hello;
};

/* Takes the hello: j->said is who wants in and by which secret. */
bool join_member_hello(struct join_member *j, const char *line, size_t len,
                       const unsigned char binding[JOIN_BINDING_SIZE],
                       struct error *err);
/* `key` is that of the secret it named. */
void join_member_challenge(struct join_member *j,
                           const unsigned char key[JOIN_KEY_SIZE],
                           const struct env *env, struct buf *out);
bool join_member_proof(struct join_member *j, const char *line, size_t len,
                       struct error *err);
void join_member_wipe(struct join_member *j);

void join_write_welcome(const struct join_welcome *w, struct buf *out);
void join_write_refusal(const struct error *why, struct buf *out);

/* ---- finding a pool ---------------------------------------------------- */

/* Datagrams; nothing in them is trusted beyond "there may be a pool".  A call
 * is filled up with blanks to JOIN_CALL_SIZE, which no answer exceeds: a member
 * sends nobody more than came in his name (RFC 9000, 8.1 says why). */
#define JOIN_CALL_SIZE 640
struct join_call {
    bool answer;
    char nonce[33];
    char pool_id[UUID_SIZE]; /* answer only, as the rest */
    char pool_name[JOIN_TEXT_MAX];
    int port;
};
void join_call_write(const struct join_call *c, struct buf *out);
bool join_call_read(const char *data, size_t len, struct join_call *c);

#endif
