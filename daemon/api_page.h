/*
 * api_page - what this build answers, as a page of Markdown: docs/api.md.
 *
 * Written from the same route tables that requests are matched against, so
 * that the page cannot promise what is not there.  Pure; any thread.
 */
#ifndef CAIRN_DAEMON_API_PAGE_H
#define CAIRN_DAEMON_API_PAGE_H

#include "common/buf.h"

void api_page(struct buf *out);

#endif
