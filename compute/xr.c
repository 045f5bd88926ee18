#include "compute/xr.h"

#include <stdio.h>

#define X(s_) ((const xmlChar *)(s_))

static xmlNodePtr named(xmlNodePtr node, const char *name)
{
    while (node && (node->type != XML_ELEMENT_NODE ||
                    !xmlStrEqual(node->name, X(name))))
        node = node->next;
    return node;
}

xmlNodePtr xr_child(xmlNodePtr node, const char *name)
{
    return node ? named(node->children, name) : NULL;
}

xmlNodePtr xr_next(xmlNodePtr node, const char *name)
{
    return named(node->next, name);
}

void xr_attr(xmlNodePtr node, const char *name, char *out, size_t size)
{
    xmlChar *value = node ? xmlGetNoNsProp(node, X(name)) : NULL;
    snprintf(out, size, "%s", value ? (const char *)value : "");
    xmlFree(value);
}

void xr_drop(xmlNodePtr node, const char *name)
{
    for (xmlNodePtr n; (n = xr_child(node, name));) {
        xmlUnlinkNode(n);
        xmlFreeNode(n);
    }
}
