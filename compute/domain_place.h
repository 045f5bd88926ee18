/*
 * domain_place - the parts of a domain's XML that bind it to its node's
 * insides: NUMA cells, CPUs, huge pages, devices.
 *
 * A part of domain_xml.h.  What a place_spec leaves open is left out, so that
 * a guest that floats is written as if these were not there.  Pure.
 */
#ifndef CAIRN_COMPUTE_DOMAIN_PLACE_H
#define CAIRN_COMPUTE_DOMAIN_PLACE_H

#include "compute/hypervisor.h"
#include "compute/xw.h"

#include <libxml/tree.h>

/* memoryBacking */
void domain_place_memory(xmlTextWriterPtr w, const struct domain_spec *spec);
/* vcpu, cputune, numatune */
void domain_place_vcpus(xmlTextWriterPtr w, const struct domain_spec *spec);
/* In cpu: numa */
void domain_place_cells(xmlTextWriterPtr w, const struct domain_spec *spec);
/* In devices: hostdev */
void domain_place_devices(xmlTextWriterPtr w, const struct domain_spec *spec);

/* vcpu, cputune and numatune of a domain that exists, as for a guest that is
 * placed so.  Its own cells, pages and devices are part of what it sees and
 * stay as they are.  False and INVALID when `to` has another number of cells
 * than the guest. */
bool domain_place_move(xmlNodePtr domain, const struct place_spec *to,
                       struct error *err);

#endif
