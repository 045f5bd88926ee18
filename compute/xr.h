/*
 * xr - reads XML elements by name.
 *
 * A thin layer over libxml's tree; NULL has no children and no attributes, so
 * that a path can be followed without looking at each step.  No threads.
 */
#ifndef CAIRN_COMPUTE_XR_H
#define CAIRN_COMPUTE_XR_H

#include <libxml/tree.h>

/* The first child with that name, and the next sibling; NULL: none. */
xmlNodePtr xr_child(xmlNodePtr node, const char *name);
xmlNodePtr xr_next(xmlNodePtr node, const char *name);
/* The attribute's value, cut to fit; "" when absent. */
void xr_attr(xmlNodePtr node, const char *name, char *out, size_t size);
/* Takes away all children with that name. */
void xr_drop(xmlNodePtr node, const char *name);

#endif
