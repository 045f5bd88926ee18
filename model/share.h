/*
 * share - parts of a device: mediated devices that a node makes for guests.
 *
 * A flavor asks for one as with nova: `resources:VGPU=1`, and the type by a
 * trait, `trait:CUSTOM_NVIDIA_35=required`, made of the kernel's name of the
 * type or of the vendor's ("GRID T4-2Q": CUSTOM_GRID_T4_2Q) as os-traits
 * does it.  Without a trait it is the least that the device can be divided
 * into.  A device is in parts of one type at a time: most hardware wants it
 * so, and so does nova.  Pure; no threads.
 */
#ifndef CAIRN_MODEL_SHARE_H
#define CAIRN_MODEL_SHARE_H

#include "model/compute.h"
#include "model/pool.h"

#define SHARE_CLASS     "VGPU"
#define SHARE_TRAIT_MAX 80

/* How much of a device one of so many is, in thousandths: never more of them
 * fit than there are.  1 .. 1000. */
int64_t share_thousandths(int64_t instances);

/* "CUSTOM_NVIDIA_35"; "" for NULL. */
void share_trait(const char *name, char out[SHARE_TRAIT_MAX]);

/* What a device is divided into where nobody says: the least part, of equal
 * ones the first by type; NULL: it is given as a whole. */
const struct node_share *share_usual(const struct node_device *d);

/* What of it a server gets: the type that its flavor or image requires, else
 * the usual one. */
const struct node_share *share_of_server(const struct server *s,
                                         const struct node_device *d);

#endif
