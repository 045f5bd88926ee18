#include "storage/swap.h"

#include <string.h>

#define AT_VERSION   1024 /* after the boot bits */
#define AT_LAST_PAGE 1028
#define AT_UUID      1036 /* after the number of bad pages: none */
#define AT_MAGIC     (SWAP_PAGE - 10)

/* In the guest's byte order: x86 is little endian. */
static void put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void swap_header(uint8_t page[SWAP_PAGE], int64_t size, const uint8_t uuid[16])
{
    int64_t pages = size / SWAP_PAGE;
    memset(page, 0, SWAP_PAGE);
    put32(page + AT_VERSION, 1);
    put32(page + AT_LAST_PAGE,
          pages > UINT32_MAX ? UINT32_MAX : (uint32_t)(pages - 1));
    memcpy(page + AT_UUID, uuid, 16);
    memcpy(page + AT_MAGIC, "SWAPSPACE2", 10);
}
