#include "compute/domain_place.h"

#include "common/cleanup.h"
#include "compute/mdev.h"
#include "compute/xr.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(xmlTextWriterPtr, cleanup_writer, xmlFreeTextWriter);
DEFINE_CLEANUP(xmlBufferPtr, cleanup_xmlbuf, xmlBufferFree);
DEFINE_CLEANUP(xmlDocPtr, cleanup_doc, xmlFreeDoc);

/* ---- memory -------------------------------------------------------------- */

void domain_place_memory(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    const struct place_spec *p = &spec->place;
    if (!p->page_kib)
        return;
    xw_begin(w, "memoryBacking", NULL);
    xw_begin(w, "hugepages", NULL);
    for (size_t i = 0; i < p->n_cells; i++)
        xw_leaf(w, "page", "size", XW_NUM(p->page_kib), "unit", "KiB",
                "nodeset", XW_NUM((int64_t)i), NULL);
    xw_end(w);
    xw_end(w);
}

/* ---- CPUs ---------------------------------------------------------------- */

static int64_t vcpus_of_cell(const struct domain_spec *spec)
{
    return spec->vcpus / (int64_t)spec->place.n_cells;
}

/* A vCPU of its own: the k-th of the cell has the k-th CPU. */
static struct cpus kth(const struct cpus *cpus, unsigned k)
{
    struct cpus before = cpus_first(cpus, k), upto = cpus_first(cpus, k + 1);
    return cpus_without(&upto, &before);
}

static void write_pin(xmlTextWriterPtr w, const struct domain_spec *spec,
                      int64_t vcpu)
{
    char text[CPUS_TEXT];
    int64_t part = vcpus_of_cell(spec);
    struct cpus cpus = spec->place.cells[vcpu / part].cpus;
    if (spec->place.pinned)
        cpus = kth(&cpus, (unsigned)(vcpu % part));
    xw_leaf(w, "vcpupin", "vcpu", XW_NUM(vcpu), "cpuset",
            cpus_text(&cpus, text), NULL);
}

static void write_cputune(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    char text[CPUS_TEXT];
    struct cpus all = { { 0 } };
    xw_begin(w, "cputune", NULL);
    for (int64_t i = 0; i < spec->vcpus; i++)
        write_pin(w, spec, i);
    for (size_t i = 0; i < spec->place.n_cells; i++)
        cpus_join(&all, &spec->place.cells[i].cpus);
    xw_leaf(w, "emulatorpin", "cpuset", cpus_text(&all, text), NULL);
    xw_end(w);
}

/* Strict: memory from another cell would be found out by being slow. */
static void write_numatune(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    const struct place_spec *p = &spec->place;
    char text[CPUS_TEXT];
    struct cpus hosts = { { 0 } };
    for (size_t i = 0; i < p->n_cells; i++)
        cpus_add(&hosts, (unsigned)p->cells[i].host);
    xw_begin(w, "numatune", NULL);
    xw_leaf(w, "memory", "mode", "strict", "nodeset", cpus_text(&hosts, text),
            NULL);
    for (size_t i = 0; i < p->n_cells; i++)
        xw_leaf(w, "memnode", "cellid", XW_NUM((int64_t)i), "mode", "strict",
                "nodeset", XW_NUM(p->cells[i].host), NULL);
    xw_end(w);
}

void domain_place_vcpus(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    char text[CPUS_TEXT];
    bool some = !spec->place.n_cells && cpus_count(&spec->place.shared);
    xw_begin(w, "vcpu", "placement", some ? "static" : NULL, "cpuset",
             some ? cpus_text(&spec->place.shared, text) : NULL, NULL);
    xw_put_text(w, XW_NUM(spec->vcpus));
    xw_end(w);
    if (!spec->place.n_cells)
        return;
    write_cputune(w, spec);
    write_numatune(w, spec);
}

/* ---- cells --------------------------------------------------------------- */

void domain_place_cells(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    int64_t n = (int64_t)spec->place.n_cells;
    if (!n)
        return;
    int64_t part = vcpus_of_cell(spec);
    xw_begin(w, "numa", NULL);
    for (int64_t i = 0; i < n; i++) {
        char cpus[48];
        snprintf(cpus, sizeof(cpus), "%lld-%lld", (long long)(i * part),
                 (long long)((i + 1) * part - 1));
        xw_leaf(w, "cell", "id", XW_NUM(i), "cpus", cpus, "memory",
                XW_NUM(spec->ram_mb / n), "unit", "MiB", NULL);
    }
    xw_end(w);
}

/* ---- devices ------------------------------------------------------------- */

/* "0000:3b:00.1": domain, bus, slot, function. */
static void write_pci(xmlTextWriterPtr w, const char *address)
{
    unsigned d = 0, b = 0, s = 0, f = 0;
    char part[4][16];
    if (sscanf(address, "%x:%x:%x.%x", &d, &b, &s, &f) != 4) /* NOLINT */
        return;
    snprintf(part[0], sizeof(part[0]), "0x%04x", d);
    snprintf(part[1], sizeof(part[1]), "0x%02x", b);
    snprintf(part[2], sizeof(part[2]), "0x%02x", s);
    snprintf(part[3], sizeof(part[3]), "0x%x", f);
    xw_begin(w, "hostdev", "mode", "subsystem", "type", "pci", "managed", "yes",
             NULL);
    xw_begin(w, "source", NULL);
    xw_leaf(w, "address", "domain", part[0], "bus", part[1], "slot", part[2],
            "function", part[3], NULL);
    xw_end(w);
    xw_end(w);
}

static void write_mdev(xmlTextWriterPtr w, const char *uuid)
{
    xw_begin(w, "hostdev", "mode", "subsystem", "type", "mdev", "model",
             "vfio-pci", NULL);
    xw_begin(w, "source", NULL);
    xw_leaf(w, "address", "uuid", uuid, NULL);
    xw_end(w);
    xw_end(w);
}

void domain_place_devices(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    for (size_t i = 0; i < spec->place.n_devices; i++) {
        const struct hostdev_spec *d = &spec->place.devices[i];
        char uuid[UUID_SIZE];
        if (d->type) {
            mdev_uuid(spec->id, d->address, d->type, uuid);
            write_mdev(w, uuid);
        } else if (strchr(d->address, ':'))
            write_pci(w, d->address);
        else
            write_mdev(w, d->address);
    }
}

/* ---- elsewhere ----------------------------------------------------------- */

static size_t cells_of(xmlNodePtr domain)
{
    size_t n = 0;
    xmlNodePtr numa = xr_child(xr_child(domain, "cpu"), "numa");
    for (xmlNodePtr c = xr_child(numa, "cell"); c; c = xr_next(c, "cell"))
        n++;
    return n;
}

static int64_t vcpus_of(xmlNodePtr domain)
{
    xmlNodePtr vcpu = xr_child(domain, "vcpu");
    xmlChar *n = vcpu ? xmlNodeGetContent(vcpu) : NULL;
    int64_t vcpus = n ? atoll((const char *)n) : 0;
    xmlFree(n);
    return vcpus;
}

/* A domain that has nothing but its place. */
static xmlDocPtr placed(const struct domain_spec *spec)
{
    _cleanup_(cleanup_xmlbuf) xmlBufferPtr b = xmlBufferCreate();
    _cleanup_(cleanup_writer) xmlTextWriterPtr w = xmlNewTextWriterMemory(b, 0);
    xw_begin(w, "domain", NULL);
    domain_place_vcpus(w, spec);
    xw_end(w);
    xmlTextWriterFlush(w);
    return xmlReadMemory((const char *)xmlBufferContent(b), xmlBufferLength(b),
                         NULL, NULL, XML_PARSE_NONET);
}

bool domain_place_move(xmlNodePtr domain, const struct place_spec *to,
                       struct error *err)
{
    static const char *const parts[] = { "vcpu", "cputune", "numatune" };
    struct domain_spec spec = { .vcpus = vcpus_of(domain), .place = *to };
    size_t n = cells_of(domain);
    if (n != to->n_cells || spec.vcpus < 1)
        return error_set(err, ERR_INVALID,
                         "it runs with %zu NUMA cells and was to get %zu", n,
                         to->n_cells);
    _cleanup_(cleanup_doc) xmlDocPtr doc = placed(&spec);
    if (!doc)
        return error_set(err, ERR_INTERNAL, "its place cannot be written");
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        xmlNodePtr there = xr_child(xmlDocGetRootElement(doc), parts[i]);
        xr_drop(domain, parts[i]);
        if (there)
            xmlAddChild(domain, xmlDocCopyNode(there, domain->doc, 1));
    }
    return true;
}
