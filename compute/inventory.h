/*
 * inventory - what a machine offers to guests beyond amounts: NUMA cells,
 * huge pages, devices that may be passed through.
 *
 * Read from what libvirt says of the host (virConnectGetCapabilities; one
 * node-device XML a device).  A device is offered when it is bound to
 * vfio-pci already, is a mediated device, or the operator has named it:
 *
 *   passthrough_devices = "10de:20b0=a100, 0000:3b:00.0, 8086:0a54"
 *
 * an address or vendor:product, with or without the name that flavors call
 * it by.  Bridges are never offered.  Pure: text in, a draft of the node's
 * record out.  SR-IOV's virtual functions are devices like others; making
 * them is not done here.
 */
#ifndef CAIRN_COMPUTE_INVENTORY_H
#define CAIRN_COMPUTE_INVENTORY_H

#include "common/error.h"
#include "model/pool.h"

#define INVENTORY_DEVICES 16 /* a node */

/* Cells (with their CPUs, pages, distances) from the capabilities. */
bool inventory_cells(const char *xml, struct node *draft, struct error *err);

/* The host's <cpu> in the capabilities, as XML that libvirt understands again;
 * NULL: there is none.  Owned by the caller. */
char *inventory_host_cpu(const char *xml);
/* draft->cpu_info (nova's object) from a <cpu> whose features are expanded. */
bool inventory_cpu(const char *xml, struct node *draft, struct error *err);

/* One device, if it is offered: added to draft->devices in the order of
 * their addresses.  False only when it is no XML. */
bool inventory_device(const char *xml, const char *passthrough,
                      struct node *draft, struct error *err);

/* Is it a list of that form? */
bool inventory_is_list(const char *passthrough);

#endif
