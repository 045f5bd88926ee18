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

/* memoryBacking */
void domain_place_memory(xmlTextWriterPtr w, const struct domain_spec *spec);
/* vcpu, cputune, numatune */
void domain_place_vcpus(xmlTextWriterPtr w, const struct domain_spec *spec);
/* In cpu: numa */
void domain_place_cells(xmlTextWriterPtr w, const struct domain_spec *spec);
/* In devices: hostdev */
void domain_place_devices(xmlTextWriterPtr w, const struct domain_spec *spec);

#endif
