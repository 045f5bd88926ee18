#include "network/addr.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 64

int addr_version(const char *address)
{
    unsigned char bin[16];
    if (!address)
        return 0;
    if (inet_pton(AF_INET, address, bin) == 1)
        return 4;
    return inet_pton(AF_INET6, address, bin) == 1 ? 6 : 0;
}

/* Splits "address/length"; length -1 when there is no slash. */
static bool split(const char *cidr, char address[TEXT_MAX], int *length)
{
    const char *slash = cidr ? strchr(cidr, '/') : NULL;
    size_t n = slash ? (size_t)(slash - cidr) : cidr ? strlen(cidr) : 0;
    *length = -1;
    if (!n || n >= TEXT_MAX)
        return false;
    memcpy(address, cidr, n);
    address[n] = '\0';
    if (!slash)
        return true;
    size_t digits = strspn(slash + 1, "0123456789");
    if (!digits || digits > 3 || slash[1 + digits])
        return false;
    *length = atoi(slash + 1);
    return true;
}

int cidr_version(const char *cidr)
{
    char address[TEXT_MAX];
    int length;
    if (!split(cidr, address, &length))
        return 0;
    int version = addr_version(address);
    return length > (version == 4 ? 32 : 128) ? 0 : version;
}

int cidr_length(const char *cidr)
{
    char address[TEXT_MAX];
    int length, version = cidr_version(cidr);
    if (!version || !split(cidr, address, &length))
        return -1;
    return length >= 0 ? length : version == 4 ? 32 : 128;
}

bool mac_valid(const char *mac)
{
    static const char hex[] = "0123456789abcdefABCDEF";
    if (!mac || strlen(mac) != MAC_SIZE - 1)
        return false;
    for (int i = 0; i < MAC_SIZE - 1; i++)
        if (i % 3 == 2 ? mac[i] != ':' : !strchr(hex, mac[i]))
            return false;
    return true;
}

bool domain_valid(const char *name)
{
    static const char fine[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    return name && *name && strlen(name) < 254 && !name[strspn(name, fine)];
}

bool addr_ptr(const char *address, char out[ADDR_PTR_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char b[16];
    if (address && inet_pton(AF_INET, address, b) == 1) {
        snprintf(out, ADDR_PTR_SIZE, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2],
                 b[1], b[0]);
        return true;
    }
    if (!address || inet_pton(AF_INET6, address, b) != 1)
        return false;
    for (int i = 0; i < 16; i++) {
        out[4 * i] = hex[b[15 - i] & 15];
        out[4 * i + 1] = '.';
        out[4 * i + 2] = hex[b[15 - i] >> 4];
        out[4 * i + 3] = '.';
    }
    strcpy(out + 64, "ip6.arpa");
    return true;
}

void mac_from(const char *seed, char out[MAC_SIZE])
{
    uint32_t h = UINT32_C(2166136261); /* FNV-1a */
    for (; *seed; seed++)
        h = (h ^ (unsigned char)*seed) * UINT32_C(16777619);
    snprintf(out, MAC_SIZE, "fa:16:3e:%02x:%02x:%02x", h >> 16 & 255,
             h >> 8 & 255, h & 255);
}
