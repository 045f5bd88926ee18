/*
 * extra_spec - flavors' extra specs as nova's scheduler reads them.
 *
 * The words are those of nova's "Extra Specs" page and of
 * nova.scheduler.filters.extra_specs_ops: a plain text is equal, an operator
 * in front compares as numbers or strings, `<or>` lists choices, `<in>` and
 * `<all-in>` look for parts.  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_EXTRA_SPEC_H
#define CAIRN_ENGINE_EXTRA_SPEC_H

#include <stdbool.h>

/* Does `value` (of the host) meet `wanted` (of the flavor)? */
bool extra_spec_meets(const char *wanted, const char *value);

#endif
