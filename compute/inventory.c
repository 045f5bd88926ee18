#include "compute/inventory.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/jw.h"
#include "compute/mdev.h"
#include "compute/xr.h"
#include "model/cpus.h"

#include <ctype.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(s_) ((const xmlChar *)(s_))

DEFINE_CLEANUP(xmlDocPtr, cleanup_doc, xmlFreeDoc);

/* ---- XML ----------------------------------------------------------------- */

static xmlDocPtr parse(const char *xml, const char *root, struct error *err)
{
    xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                                  XML_PARSE_NONET | XML_PARSE_NOERROR |
                                      XML_PARSE_NOWARNING);
    xmlNodePtr top = doc ? xmlDocGetRootElement(doc) : NULL;
    if (top && xmlStrEqual(top->name, X(root)))
        return doc;
    xmlFreeDoc(doc);
    error_set(err, ERR_INTERNAL, "libvirt's %s cannot be read", root);
    return NULL;
}

static int64_t attr_number(xmlNodePtr n, const char *name, int64_t absent)
{
    char text[32];
    xr_attr(n, name, text, sizeof(text));
    return *text ? strtoll(text, NULL, 0) : absent;
}

static void get_text(xmlNodePtr n, char *out, size_t size)
{
    xmlChar *value = n ? xmlNodeGetContent(n) : NULL;
    snprintf(out, size, "%s", value ? (const char *)value : "");
    xmlFree(value);
}

static int64_t text_number(xmlNodePtr n)
{
    char text[32];
    get_text(n, text, sizeof(text));
    return strtoll(text, NULL, 0);
}

/* ---- cells --------------------------------------------------------------- */

static void read_pages(xmlNodePtr cell, struct node *draft,
                       struct node_cell *out)
{
    for (xmlNodePtr p = xr_child(cell, "pages"); p; p = xr_next(p, "pages")) {
        int64_t kib = attr_number(p, "size", 0), count = text_number(p);
        if (kib <= 4 || !count)
            continue; /* ordinary ones are counted as memory */
        struct node_pages *pages = list_add(draft, &out->pages, sizeof(*pages));
        pages->kib = kib;
        pages->count = count;
    }
}

static void read_distances(xmlNodePtr cell, struct node *draft,
                           struct node_cell *out)
{
    struct buf b = BUF_INIT(1024);
    xmlNodePtr s = xr_child(xr_child(cell, "distances"), "sibling");
    for (; s; s = xr_next(s, "sibling"))
        buf_addf(&b, "%s%lld", b.len ? "," : "",
                 (long long)attr_number(s, "value", 0));
    out->distances = b.len ? rec_str(draft, buf_str(&b)) : NULL;
    buf_free(&b);
}

static void read_cpus(xmlNodePtr cell, struct node *draft,
                      struct node_cell *out)
{
    char text[CPUS_TEXT];
    struct cpus cpus = { { 0 } };
    xmlNodePtr c = xr_child(xr_child(cell, "cpus"), "cpu");
    for (; c; c = xr_next(c, "cpu")) {
        int64_t id = attr_number(c, "id", -1);
        if (id >= 0 && id < CPUS_MAX)
            cpus_add(&cpus, (unsigned)id);
    }
    out->cpus = rec_str(draft, cpus_text(&cpus, text));
}

bool inventory_cells(const char *xml, struct node *draft, struct error *err)
{
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml, "capabilities", err);
    if (!doc)
        return false;
    draft->cells = (struct list){ 0 };
    xmlNodePtr host = xr_child(xmlDocGetRootElement(doc), "host");
    xmlNodePtr c =
        xr_child(xr_child(xr_child(host, "topology"), "cells"), "cell");
    for (; c; c = xr_next(c, "cell")) {
        struct node_cell *out = list_add(draft, &draft->cells, sizeof(*out));
        out->id = attr_number(c, "id", 0);
        out->ram_mb = text_number(xr_child(c, "memory")) / 1024;
        read_pages(c, draft, out);
        read_distances(c, draft, out);
        read_cpus(c, draft, out);
    }
    return true;
}

/* ---- the CPU --------------------------------------------------------------
 */

char *inventory_host_cpu(const char *xml)
{
    struct error err;
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml, "capabilities", &err);
    xmlNodePtr cpu =
        doc ? xr_child(xr_child(xmlDocGetRootElement(doc), "host"), "cpu")
            : NULL;
    if (!cpu)
        return NULL;
    xmlBufferPtr b = xmlBufferCreate();
    xmlNodeDump(b, doc, cpu, 0, 0);
    char *text = xstrdup((const char *)xmlBufferContent(b));
    xmlBufferFree(b);
    return text;
}

static void write_features(struct jw *w, xmlNodePtr cpu)
{
    char name[64], policy[16];
    xmlNodePtr f = xr_child(cpu, "feature");
    jw_arr(w, "features");
    for (; f; f = xr_next(f, "feature")) {
        xr_attr(f, "name", name, sizeof(name));
        xr_attr(f, "policy", policy, sizeof(policy));
        if (*name && strcmp(policy, "disable") != 0)
            jw_str(w, NULL, name);
    }
    jw_arr_end(w);
}

bool inventory_cpu(const char *xml, struct node *draft, struct error *err)
{
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml, "cpu", err);
    char model[64], vendor[64];
    if (!doc)
        return false;
    xmlNodePtr cpu = xmlDocGetRootElement(doc);
    get_text(xr_child(cpu, "model"), model, sizeof(model));
    get_text(xr_child(cpu, "vendor"), vendor, sizeof(vendor));
    struct buf b = BUF_INIT(1 << 16);
    struct jw w = JW_INIT(&b);
    jw_obj(&w, NULL);
    jw_str(&w, "arch", draft->machine);
    jw_str(&w, "model", model);
    jw_str(&w, "vendor", vendor);
    write_features(&w, cpu);
    jw_obj(&w, "topology");
    jw_int(&w, "cells", draft->cells.n ? (int64_t)draft->cells.n : 1);
    jw_int(&w, "sockets", 1);
    jw_int(&w, "cores", draft->vcpus);
    jw_int(&w, "threads", 1);
    jw_obj_end(&w);
    jw_obj_end(&w);
    draft->cpu_info = rec_str(draft, buf_str(&b));
    buf_free(&b);
    return true;
}

/* ---- what the operator offers -------------------------------------------- */

static bool is_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isxdigit((unsigned char)p[i]))
            return false;
    return true;
}

/* "10de:20b0" or "0000:3b:00.0" */
static bool is_device(const char *p, size_t n)
{
    if (n == 9)
        return is_hex(p, 4) && p[4] == ':' && is_hex(p + 5, 4);
    return n == 12 && is_hex(p, 4) && p[4] == ':' && is_hex(p + 5, 2) &&
           p[7] == ':' && is_hex(p + 8, 2) && p[10] == '.' && is_hex(p + 11, 1);
}

static bool is_name(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)p[i]) && !strchr("_.-", p[i]))
            return false;
    return n > 0 && n <= 40;
}

/* The next entry of a list: the device, and its name (length 0: none). */
struct entry {
    const char *device, *name;
    size_t device_len, name_len;
};

static bool next_entry(const char **rest, struct entry *out)
{
    *rest += strspn(*rest, ", ");
    size_t n = strcspn(*rest, ", ");
    const char *equals = memchr(*rest, '=', n);
    *out = (struct entry){ .device = *rest, .device_len = n };
    if (equals) {
        out->device_len = (size_t)(equals - *rest);
        out->name = equals + 1;
        out->name_len = n - out->device_len - 1;
    }
    *rest += n;
    return n > 0;
}

bool inventory_is_list(const char *passthrough)
{
    struct entry e;
    const char *rest = passthrough;
    while (next_entry(&rest, &e))
        if (!is_device(e.device, e.device_len) ||
            (e.name && !is_name(e.name, e.name_len)))
            return false;
    return true;
}

static bool is(const struct entry *e, const char *text)
{
    return strlen(text) == e->device_len &&
           strncasecmp(e->device, text, e->device_len) == 0;
}

/* Is it offered?  Its name goes into `name` ("": it has none). */
static bool is_offered(const char *list, const char *address, const char *model,
                       char *name, size_t size)
{
    struct entry e;
    const char *rest = list;
    *name = '\0';
    while (next_entry(&rest, &e))
        if (is(&e, address) || is(&e, model)) {
            snprintf(name, size, "%.*s", (int)e.name_len, e.name ? e.name : "");
            return true;
        }
    return false;
}

/* ---- devices ------------------------------------------------------------- */

#define CLASS_BRIDGE 0x06

/* PCI Code and ID Assignment Specification: base class, subclass. */
static const char *class_name(int64_t code)
{
    static const struct {
        int base, sub; /* -1: any */
        const char *name;
    } classes[] = {
        { 0x03, -1, "GPU" },    { 0x02, -1, "NIC" },
        { 0x01, 0x08, "NVME" }, { 0x01, -1, "STORAGE" },
        { 0x0b, 0x40, "GPU" },  { 0x0c, 0x03, "USB" },
        { 0x10, -1, "CRYPTO" }, { 0x12, -1, "ACCELERATOR" },
    };
    int base = (int)(code >> 16 & 0xff), sub = (int)(code >> 8 & 0xff);
    for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
        if (classes[i].base == base &&
            (classes[i].sub < 0 || classes[i].sub == sub))
            return classes[i].name;
    return "PCI";
}

/* Makes room in the order of addresses. */
static struct node_device *add(struct node *draft, const char *address)
{
    list_add(draft, &draft->devices, sizeof(struct node_device));
    size_t at = draft->devices.n - 1;
    struct node_device *all = LIST_AT(draft->devices, struct node_device, 0);
    while (at && strcmp(all[at - 1].address, address) > 0)
        at--;
    memmove(&all[at + 1], &all[at], (draft->devices.n - 1 - at) * sizeof(*all));
    all[at] = (struct node_device){ .address = rec_str(draft, address) };
    return &all[at];
}

static int64_t cell_of(xmlNodePtr cap)
{
    return attr_number(xr_child(cap, "numa"), "node", -1);
}

static void add_pci(xmlNodePtr device, xmlNodePtr cap, const char *passthrough,
                    struct node *draft)
{
    char address[16], model[16], name[48], driver[32], words[160];
    char vendor[64], product[64];
    int64_t code = text_number(xr_child(cap, "class"));
    snprintf(address, sizeof(address), "%04x:%02x:%02x.%x",
             (unsigned)text_number(xr_child(cap, "domain")) & 0xffff,
             (unsigned)text_number(xr_child(cap, "bus")) & 0xff,
             (unsigned)text_number(xr_child(cap, "slot")) & 0x1f,
             (unsigned)text_number(xr_child(cap, "function")) & 0x7);
    snprintf(model, sizeof(model), "%04x:%04x",
             (unsigned)attr_number(xr_child(cap, "vendor"), "id", 0) & 0xffff,
             (unsigned)attr_number(xr_child(cap, "product"), "id", 0) & 0xffff);
    get_text(xr_child(xr_child(device, "driver"), "name"), driver,
             sizeof(driver));
    bool offered = is_offered(passthrough, address, model, name, sizeof(name));
    if ((code >> 16 & 0xff) == CLASS_BRIDGE ||
        (!offered && strcmp(driver, "vfio-pci") != 0))
        return;
    get_text(xr_child(cap, "vendor"), vendor, sizeof(vendor));
    get_text(xr_child(cap, "product"), product, sizeof(product));
    snprintf(words, sizeof(words), "%s %s", vendor, product);
    struct node_device *d = add(draft, address);
    d->class_ = class_name(code);
    d->model = rec_str(draft, model);
    d->name = *name ? rec_str(draft, name) : NULL;
    d->text = rec_str(draft, words);
    d->cell = cell_of(cap);
}

static void add_mdev(xmlNodePtr cap, struct node *draft)
{
    char uuid[64], type[64];
    get_text(xr_child(cap, "uuid"), uuid, sizeof(uuid));
    xr_attr(xr_child(cap, "type"), "id", type, sizeof(type));
    if (!*uuid || mdev_is_ours(uuid)) /* those are parts of their parents */
        return;
    struct node_device *d = add(draft, uuid);
    d->class_ = "VGPU";
    d->model = rec_str(draft, type);
    d->cell = cell_of(cap);
}

bool inventory_device(const char *xml, const char *passthrough,
                      struct node *draft, struct error *err)
{
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml, "device", err);
    char type[16];
    if (!doc)
        return false;
    xmlNodePtr device = xmlDocGetRootElement(doc);
    xmlNodePtr cap = xr_child(device, "capability");
    xr_attr(cap, "type", type, sizeof(type));
    if (draft->devices.n >= INVENTORY_DEVICES)
        return true;
    if (strcmp(type, "pci") == 0)
        add_pci(device, cap, passthrough, draft);
    else if (strcmp(type, "mdev") == 0)
        add_mdev(cap, draft);
    return true;
}
