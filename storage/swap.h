/*
 * swap - the first page of a swap area, as mkswap(8) would write it.
 *
 * Version 1 of include/linux/swap.h (union swap_header) with pages of 4 KiB:
 * the kernel takes it on machines with such pages, which are all that Cairn
 * runs.  Pure.
 */
#ifndef CAIRN_STORAGE_SWAP_H
#define CAIRN_STORAGE_SWAP_H

#include <stdint.h>

#define SWAP_PAGE      4096
#define SWAP_PAGES_MIN 10 /* less is refused by the kernel */

/* For an area of `size` bytes, at least SWAP_PAGES_MIN pages. */
void swap_header(uint8_t page[SWAP_PAGE], int64_t size, const uint8_t uuid[16]);

#endif
