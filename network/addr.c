#include "network/addr.h"

#include "common/ip.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int addr_version(const char *address)
{
    struct ip ip;
    return address && ip_parse(address, &ip) ? ip.version : 0;
}

int cidr_version(const char *cidr)
{
    struct cidr c;
    return cidr && cidr_parse(cidr, &c) ? c.ip.version : 0;
}

int cidr_length(const char *cidr)
{
    struct cidr c;
    return cidr && cidr_parse(cidr, &c) ? c.prefix : -1;
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
    snprintf(out + 64, ADDR_PTR_SIZE - 64, "ip6.arpa");
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
