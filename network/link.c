#include "network/link.h"

#include "common/cleanup.h"
#include "common/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* ---- messages ---------------------------------------------------------- */

/* A request under construction; the sizes are ours, so it always fits. */
struct message {
    union {
        struct nlmsghdr head;
        char bytes[1024];
    };
};

static void *begin(struct message *m, int type, int flags, size_t body)
{
    memset(m, 0, sizeof(*m));
    m->head.nlmsg_type = (uint16_t)type;
    m->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    m->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
    return NLMSG_DATA(&m->head);
}

static struct rtattr *put(struct message *m, int type, const void *data,
                          size_t len)
{
    struct rtattr *a =
        (struct rtattr *)(m->bytes + NLMSG_ALIGN(m->head.nlmsg_len));
    a->rta_type = (uint16_t)type;
    a->rta_len = (uint16_t)RTA_LENGTH(len);
    if (len)
        memcpy(RTA_DATA(a), data, len);
    m->head.nlmsg_len =
        NLMSG_ALIGN(m->head.nlmsg_len) + (uint32_t)RTA_ALIGN(a->rta_len);
    return a;
}

static void put_text(struct message *m, int type, const char *text)
{
    put(m, type, text, strlen(text) + 1);
}

/* Ends a nested attribute: it reaches to the end of what is there now. */
static void nest_end(struct message *m, struct rtattr *a)
{
    a->rta_len = (uint16_t)(m->bytes + m->head.nlmsg_len - (char *)a);
}

/* 0 or a positive errno. */
static int talk(struct link_ns *l, struct message *m)
{
    char answer[4096];
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    if (sendto(l->netlink, m, m->head.nlmsg_len, 0, (struct sockaddr *)&kernel,
               sizeof(kernel)) < 0)
        return errno;
    ssize_t n = recv(l->netlink, answer, sizeof(answer), 0);
    if (n < 0)
        return errno;
    const struct nlmsghdr *head = (const void *)answer;
    if (!NLMSG_OK(head, (unsigned)n) || head->nlmsg_type != NLMSG_ERROR)
        return EPROTO;
    return -((const struct nlmsgerr *)NLMSG_DATA(head))->error;
}

static bool done(int errnum, int fine, const char *what, const char *name,
                 struct error *err)
{
    if (!errnum || errnum == fine)
        return true;
    return error_errno(err, ERR_INTERNAL, errnum, "%s %s", what, name);
}

/* ---- calls ------------------------------------------------------------- */

bool link_open(struct link_ns *l, struct error *err)
{
    l->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    l->control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (l->netlink >= 0 && l->control >= 0)
        return true;
    error_errno(err, ERR_INTERNAL, errno, "rtnetlink");
    link_close(l);
    return false;
}

void link_close(struct link_ns *l)
{
    cleanup_close(&l->netlink);
    cleanup_close(&l->control);
    *l = LINK_NS_NONE;
}

bool link_add_veth(struct link_ns *l, const char *name, const char *peer,
                   int peer_ns, struct error *err)
{
    struct message m;
    struct ifinfomsg none = { 0 };
    begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(none));
    put_text(&m, IFLA_IFNAME, name);
    struct rtattr *info = put(&m, IFLA_LINKINFO, NULL, 0);
    put_text(&m, IFLA_INFO_KIND, "veth");
    struct rtattr *data = put(&m, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *other = put(&m, VETH_INFO_PEER, &none, sizeof(none));
    put_text(&m, IFLA_IFNAME, peer);
    put(&m, IFLA_NET_NS_FD, &peer_ns, sizeof(peer_ns));
    nest_end(&m, other);
    nest_end(&m, data);
    nest_end(&m, info);
    return done(talk(l, &m), 0, "add device", name, err);
}

bool link_delete(struct link_ns *l, const char *name, struct error *err)
{
    struct message m;
    begin(&m, RTM_DELLINK, 0, sizeof(struct ifinfomsg));
    put_text(&m, IFLA_IFNAME, name);
    return done(talk(l, &m), ENODEV, "delete device", name, err);
}

static bool parse_mac(const char *text, unsigned char mac[6])
{
    unsigned b[6];
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &b[0], &b[1], &b[2], &b[3],
               &b[4], &b[5]) != 6)
        return false;
    for (int i = 0; i < 6; i++)
        mac[i] = (unsigned char)b[i];
    return true;
}

bool link_up(struct link_ns *l, const char *name, const char *mac, int mtu,
             struct error *err)
{
    struct message m;
    unsigned char bytes[6];
    struct ifinfomsg *info = begin(&m, RTM_NEWLINK, 0, sizeof(*info));
    info->ifi_flags = info->ifi_change = IFF_UP;
    put_text(&m, IFLA_IFNAME, name);
    if (mac && !parse_mac(mac, bytes))
        return error_set(err, ERR_INVALID, "%s is no MAC address", mac);
    if (mac)
        put(&m, IFLA_ADDRESS, bytes, sizeof(bytes));
    if (mtu)
        put(&m, IFLA_MTU, &mtu, sizeof(mtu));
    return done(talk(l, &m), 0, "bring up device", name, err);
}

bool link_add_address(struct link_ns *l, const char *name, const char *cidr,
                      struct error *err)
{
    struct message m;
    struct cidr c;
    unsigned char bytes[16];
    char text[IP_TEXT_MAX];
    if (!cidr_parse(cidr, &c))
        return error_set(err, ERR_INVALID, "%s is no address", cidr);
    int family = c.ip.version == 4 ? AF_INET : AF_INET6;
    size_t len = c.ip.version == 4 ? 4 : 16;
    struct ifaddrmsg *a =
        begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));
    a->ifa_family = (uint8_t)family;
    a->ifa_prefixlen = (uint8_t)c.prefix;
    a->ifa_index = link_index(l, name);
    inet_pton(family, ip_format(c.ip, text), bytes);
    put(&m, IFA_LOCAL, bytes, len);
    put(&m, IFA_ADDRESS, bytes, len);
    return done(talk(l, &m), EEXIST, "add an address to device", name, err);
}

static struct ifreq named(const char *name)
{
    struct ifreq r = { 0 };
    strncpy(r.ifr_name, name, sizeof(r.ifr_name) - 1);
    return r;
}

bool link_tx_checksum_off(struct link_ns *l, const char *name,
                          struct error *err)
{
    struct ethtool_value off = { .cmd = ETHTOOL_STXCSUM, .data = 0 };
    struct ifreq r = named(name);
    r.ifr_data = (char *)&off;
    return done(ioctl(l->control, SIOCETHTOOL, &r) ? errno : 0, 0,
                "checksum offload of device", name, err);
}

unsigned link_index(struct link_ns *l, const char *name)
{
    struct ifreq r = named(name);
    return ioctl(l->control, SIOCGIFINDEX, &r) ? 0 : (unsigned)r.ifr_ifindex;
}
