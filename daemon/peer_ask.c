#include "daemon/peer_ask.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/jw.h"

#include <jansson.h>
#include <string.h>

/* ---- asking ------------------------------------------------------------- */

static bool write_question(const char *op, const char *json, struct buf *out)
{
    struct jw w = JW_INIT(out);
    _autojson_ json_t *in = json_loads(json, 0, NULL);
    jw_obj(&w, NULL);
    jw_str(&w, "op", op);
    jw_json(&w, "in", in);
    jw_obj_end(&w);
    return json_is_object(in);
}

static enum error_code code_named(const char *name)
{
    for (int code = ERR_NONE + 1; name && code < ERR_N_CODES; code++)
        if (strcmp(error_code_name((enum error_code)code), name) == 0)
            return (enum error_code)code;
    return ERR_INTERNAL;
}

static bool take_answer(const struct buf *message, struct buf *out,
                        struct error *err)
{
    _autojson_ json_t *said =
        json_loadb(message->data, message->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *text = json_object_get(said, "text");
    const char *why = json_string_value(json_object_get(said, "reason"));
    if (why)
        return error_set(
            err, code_named(json_string_value(json_object_get(said, "error"))),
            "%.300s", why);
    if (!json_is_string(text))
        return error_set(err, ERR_INTERNAL, "a peer's answer is none");
    buf_add(out, json_string_value(text), json_string_length(text));
    return true;
}

bool peer_ask(const char *address, int port, const struct pki *pki,
              const char *op, const char *json, struct buf *out,
              struct error *err)
{
    struct peer peer;
    struct buf question = BUF_INIT(PEER_QUESTION_MAX);
    struct buf answer = BUF_INIT(PEER_ANSWER_MAX);
    bool ok = write_question(op, json, &question) ||
              error_set(err, ERR_INVALID, "%.60s: no JSON object", op);
    ok = ok && peer_connect(&peer, address, port, PEER_NODE, pki, err);
    if (ok) {
        ok = peer_send(&peer, &question, err) &&
             peer_receive(&peer, &answer, err) &&
             take_answer(&answer, out, err);
        peer_close(&peer);
    }
    buf_free(&question);
    buf_free(&answer);
    return ok;
}

/* ---- answering ---------------------------------------------------------- */

static bool do_as_asked(const struct buf *question, peer_answer_fn *fn,
                        void *arg, struct buf *text, struct error *err)
{
    _autojson_ json_t *said =
        json_loadb(question->data, question->len, JSON_REJECT_DUPLICATES, NULL);
    const char *op = json_string_value(json_object_get(said, "op"));
    const json_t *in = json_object_get(said, "in");
    if (!op || !json_is_object(in))
        return error_set(err, ERR_INVALID, "a peer's question is none");
    _autofree_ char *json = json_dumps(in, JSON_COMPACT);
    return fn(arg, op, json, text, err);
}

static void write_answer(const struct buf *text, const struct error *why,
                         struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    if (why->code) {
        jw_str(&w, "error", error_code_name(why->code));
        jw_str(&w, "reason", why->text);
    } else {
        jw_strn(&w, "text", text->len ? text->data : "", text->len);
    }
    jw_obj_end(&w);
}

bool peer_answer(struct peer *p, peer_answer_fn *fn, void *arg,
                 struct error *err)
{
    struct buf question = BUF_INIT(PEER_QUESTION_MAX);
    struct buf text = BUF_INIT(PEER_ANSWER_MAX);
    struct buf answer = BUF_INIT(PEER_ANSWER_MAX);
    struct error why = { 0 };
    bool ok = peer_is_member(p) || error_set(err, ERR_FORBIDDEN,
                                             "it shows no certificate of the "
                                             "pool");
    ok = ok && peer_receive(p, &question, err);
    if (ok) {
        if (!do_as_asked(&question, fn, arg, &text, &why) && !why.code)
            error_set(&why, ERR_INTERNAL, "it failed");
        write_answer(&text, &why, &answer);
        ok = peer_send(p, &answer, err);
    }
    buf_free(&question);
    buf_free(&text);
    buf_free(&answer);
    return ok;
}
