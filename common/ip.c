#include "common/ip.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static u128 load(const unsigned char *bytes, int n)
{
    u128 v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | bytes[i];
    return v;
}

static int width(int version)
{
    return version == 4 ? 32 : 128;
}

bool ip_parse(const char *s, struct ip *out)
{
    unsigned char bytes[16];
    if (inet_pton(AF_INET, s, bytes) == 1) {
        *out = (struct ip){ 4, load(bytes, 4) };
        return true;
    }
    if (inet_pton(AF_INET6, s, bytes) == 1) {
        *out = (struct ip){ 6, load(bytes, 16) };
        return true;
    }
    return false;
}

char *ip_format(struct ip ip, char out[IP_TEXT_MAX])
{
    unsigned char bytes[16];
    int n = width(ip.version) / 8;
    for (int i = n - 1; i >= 0; i--, ip.bits >>= 8)
        bytes[i] = (unsigned char)ip.bits;
    inet_ntop(ip.version == 4 ? AF_INET : AF_INET6, bytes, out, IP_TEXT_MAX);
    return out;
}

int ip_compare(struct ip a, struct ip b)
{
    if (a.version != b.version)
        return a.version < b.version ? -1 : 1;
    return a.bits < b.bits ? -1 : a.bits > b.bits;
}

struct ip ip_add(struct ip ip, int64_t n)
{
    ip.bits += (u128)(__int128)n;
    if (ip.version == 4)
        ip.bits &= UINT32_MAX;
    return ip;
}

/* RFC 4291, appendix A */
struct ip ip_from_eui64(struct ip network, const char *mac)
{
    unsigned b[6] = { 0 };
    sscanf(mac, "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]);
    uint64_t id = (uint64_t)(b[0] ^ 2) << 56 | (uint64_t)b[1] << 48 |
                  (uint64_t)b[2] << 40 | 0xfffeULL << 24 |
                  (uint64_t)b[3] << 16 | (uint64_t)b[4] << 8 | b[5];
    network.bits |= id;
    return network;
}

bool cidr_parse(const char *s, struct cidr *out)
{
    char text[IP_TEXT_MAX];
    size_t len = strcspn(s, "/");
    if (len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)len, s);
    if (!ip_parse(text, &out->ip))
        return false;
    out->prefix = width(out->ip.version);
    if (!s[len])
        return true;
    if (strspn(s + len + 1, "0123456789") != strlen(s + len + 1))
        return false;
    char *end;
    long prefix = strtol(s + len + 1, &end, 10);
    if (end == s + len + 1 || prefix > out->prefix)
        return false;
    out->prefix = (int)prefix;
    return true;
}

static u128 host_mask(struct cidr c)
{
    int bits = width(c.ip.version) - c.prefix;
    return bits == 128 ? ~(u128)0 : ((u128)1 << bits) - 1;
}

struct ip cidr_network(struct cidr c)
{
    c.ip.bits &= ~host_mask(c);
    return c.ip;
}

struct ip cidr_last(struct cidr c)
{
    c.ip.bits |= host_mask(c);
    return c.ip;
}

char *cidr_format(struct cidr c, char out[CIDR_TEXT_MAX])
{
    char text[IP_TEXT_MAX];
    snprintf(out, CIDR_TEXT_MAX, "%s/%d", ip_format(cidr_network(c), text),
             c.prefix);
    return out;
}

bool cidr_contains(struct cidr c, struct ip ip)
{
    return c.ip.version == ip.version &&
           ((c.ip.bits ^ ip.bits) & ~host_mask(c)) == 0;
}

bool cidr_overlaps(struct cidr a, struct cidr b)
{
    return cidr_contains(a, cidr_network(b)) ||
           cidr_contains(b, cidr_network(a));
}
