/*
 * ip - addresses and prefixes, v4 and v6 alike.
 *
 * Plain values, no allocation.  A v4 address is kept in the low 32 bits, so
 * that counting works the same for both.
 */
#ifndef CAIRN_COMMON_IP_H
#define CAIRN_COMMON_IP_H

#include <stdbool.h>
#include <stdint.h>

#define IP_TEXT_MAX   46 /* INET6_ADDRSTRLEN */
#define CIDR_TEXT_MAX 50

typedef unsigned __int128 u128;

struct ip {
    int version; /* 4 or 6 */
    u128 bits;
};

struct cidr {
    struct ip ip; /* as written, host bits included */
    int prefix;
};

bool ip_parse(const char *s, struct ip *out);
char *ip_format(struct ip ip, char out[IP_TEXT_MAX]);
/* Same version and value; versions sort 4 before 6. */
int ip_compare(struct ip a, struct ip b);
struct ip ip_add(struct ip ip, int64_t n);
struct ip ip_from_eui64(struct ip network, const char *mac);

/* "10.0.0.0/24"; a bare address is /32 or /128. */
bool cidr_parse(const char *s, struct cidr *out);
char *cidr_format(struct cidr c, char out[CIDR_TEXT_MAX]); /* network/prefix */
struct ip cidr_network(struct cidr c); /* host bits cleared */
struct ip cidr_last(struct cidr c);    /* host bits set; v4: broadcast */
bool cidr_contains(struct cidr c, struct ip ip);
bool cidr_overlaps(struct cidr a, struct cidr b);

#endif
