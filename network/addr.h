/*
 * addr - addresses as text, checked before they go into a match or an option.
 *
 * Pure.  Records were validated when they were written; what becomes part of
 * a logical flow is checked here again, so that no string of a client's ever
 * reaches OVN's expression parser.
 */
#ifndef CAIRN_NETWORK_ADDR_H
#define CAIRN_NETWORK_ADDR_H

#include <stdbool.h>

#define MAC_SIZE      18 /* "fa:16:3e:00:00:01" */
#define ADDR_PTR_SIZE 80

/* 4 or 6 for an address ("10.0.0.1") without a prefix length, else 0. */
int addr_version(const char *address);
/* 4 or 6 for an address with or without "/length", else 0. */
int cidr_version(const char *cidr);
/* The length behind "/"; that of a whole address without; -1 = neither. */
int cidr_length(const char *cidr);
bool mac_valid(const char *mac);
/* Letters, digits, hyphens and dots, as in a host or domain name. */
bool domain_valid(const char *name);
/* The name of the PTR record of an address; false when it is none. */
bool addr_ptr(const char *address, char out[ADDR_PTR_SIZE]);
/* A locally made MAC address, always the same for the same seed. */
void mac_from(const char *seed, char out[MAC_SIZE]);

#endif
