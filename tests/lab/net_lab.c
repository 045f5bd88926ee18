/*
 * net_lab - the networks of a small cloud on a real OVN, without the API.
 *
 *     net_lab CHASSIS EXTERNAL      e.g. node1 172.24.4
 *
 * Writes records into a store in memory, runs the network reconciler with
 * the OVN driver and the metadata legs on them, and answers HTTP on each
 * metadata socket with the network and the address that asked.  A line on
 * standard input changes the records; each is answered by "ok", once the
 * northbound database has the change:
 *
 *     fip on | fip off | snat on | snat off | open PORT | close | leave
 *     rebuild
 *     status        "vm-a1 ACTIVE ..." before the "ok"
 *
 * Ends with the input.  See tests/lab/prove-network for the topology.
 */
#include "network/net_reconcile.h"
#include "network/ovn.h"

#include "net_world.h"

#include "common/log.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>

#define N_A   "a0000000-0000-4000-8000-000000000001"
#define N_B   "b0000000-0000-4000-8000-000000000002"
#define N_T   "c0000000-0000-4000-8000-000000000003"
#define VM_A1 "a0000000-0000-4000-8000-0000000000a1"
#define VM_A2 "a0000000-0000-4000-8000-0000000000a2"
#define VM_B1 "b0000000-0000-4000-8000-0000000000b1"
#define VM_T1 "c0000000-0000-4000-8000-0000000000c1"

/* ---- answering --------------------------------------------------------- */

struct answerer {
    int fd;
    char network[40];
};

static void answer(int fd, const char *network, const char *who)
{
    char in[1024], out[512], body[200];
    if (read(fd, in, sizeof(in)) > 0) {
        int n =
            snprintf(body, sizeof(body), "network=%s from=%s\n", network, who);
        int len = snprintf(out, sizeof(out),
                           "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", n,
                           body);
        if (write(fd, out, (size_t)len) != len)
            log_warn("net_lab", "short answer");
    }
    close(fd);
}

static void *answer_all(void *arg)
{
    struct answerer *a = arg;
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    char who[INET_ADDRSTRLEN];
    for (int fd;; len = sizeof(from)) {
        struct pollfd p = { .fd = a->fd, .events = POLLIN };
        poll(&p, 1, -1);
        fd = accept(a->fd, (struct sockaddr *)&from, &len);
        if (fd < 0)
            continue;
        inet_ntop(AF_INET, &from.sin_addr, who, sizeof(who));
        answer(fd, a->network, who);
    }
    return NULL;
}

static void listener(void *arg, const char *network_id, int fd)
{
    pthread_t thread;
    if (fd < 0)
        return;
    struct answerer *a = xcalloc(1, sizeof(*a));
    a->fd = fd;
    snprintf(a->network, sizeof(a->network), "%s", network_id);
    if (!pthread_create(&thread, NULL, answer_all, a))
        pthread_detach(thread);
}

/* ---- the records ------------------------------------------------------- */

static void tenant(struct world *w, const char *id, const char *prefix)
{
    char sub[64], meta[64], cidr[32], gateway[32], second[32];
    snprintf(sub, sizeof(sub), "%s-sub", id);
    snprintf(meta, sizeof(meta), "%s-meta", id);
    snprintf(cidr, sizeof(cidr), "%s.0/24", prefix);
    snprintf(gateway, sizeof(gateway), "%s.1", prefix);
    snprintf(second, sizeof(second), "%s.2", prefix);
    char mac[] = "fa:16:3e:00:00:fe";
    mac[9] = id[0]; /* a, b, c */
    struct network *n = draft_network(id);
    n->metadata_port_id = rec_str(n, meta);
    n->dns_domain = rec_str(n, "lab.local");
    world_put(w, n);
    world_put(w, draft_subnet(sub, id, cidr, gateway));
    world_put(w, draft_owned(draft_port(meta, id, mac, sub, second),
                             OWNER_METADATA, id));
}

static void guest(struct world *w, const char *id, const char *network,
                  const char *name, const char *mac, const char *address,
                  const char *group, const char *chassis)
{
    char sub[64];
    snprintf(sub, sizeof(sub), "%s-sub", network);
    struct port *p = draft_port(id, network, mac, sub, address);
    strs_add(p, &p->security_group_ids, group);
    p->dns_name = rec_str(p, name);
    p->node = rec_str(p, chassis);
    world_put(w, draft_owned(p, "compute:nova", id));
}

static void fip(struct world *w, const char *external, bool on)
{
    struct floating_ip *f = record_new(&kind_floating_ip, "fip");
    f->address = rec_strf(f, "%s.51", external);
    f->router_id = on ? rec_str(f, "router") : NULL;
    f->port_id = on ? rec_str(f, VM_A1) : NULL;
    f->fixed_address = on ? rec_str(f, "10.0.1.11") : NULL;
    world_put(w, f);
}

static void router_port(struct world *w, const char *id, const char *network,
                        const char *subnet, const char *mac,
                        const char *address, const char *owner)
{
    world_put(w, draft_owned(draft_port(id, network, mac, subnet, address),
                             owner, "router"));
}

static void topology(struct world *w, const char *chassis, const char *external)
{
    char cidr[32], gateway[32], own[32];
    snprintf(cidr, sizeof(cidr), "%s.0/24", external);
    snprintf(gateway, sizeof(gateway), "%s.1", external);
    snprintf(own, sizeof(own), "%s.10", external);
    struct network *n = draft_network("ext");
    n->external = true;
    n->physical_network = rec_str(n, "physnet1");
    world_put(w, n);
    world_put(w, draft_subnet("ext-sub", "ext", cidr, gateway));
    tenant(w, N_A, "10.0.1");
    tenant(w, N_B, "10.0.2");
    tenant(w, N_T, "10.0.1"); /* another project, the same addresses */
    struct router *r = record_new(&kind_router, "router");
    r->admin_state_up = r->enable_snat = true;
    r->gateway_port_id = rec_str(r, "gw");
    world_put(w, r);
    router_port(w, "gw", "ext", "ext-sub", "fa:16:3e:00:ff:01", own,
                OWNER_GATEWAY);
    router_port(w, "if-a", N_A, N_A "-sub", "fa:16:3e:00:ff:02", "10.0.1.1",
                OWNER_ROUTER);
    router_port(w, "if-b", N_B, N_B "-sub", "fa:16:3e:00:ff:03", "10.0.2.1",
                OWNER_ROUTER);
    fip(w, external, true);
    static const char *const groups[] = { "web", "plain", "mute" };
    for (size_t i = 0; i < 3; i++) {
        struct security_group *g = record_new(&kind_security_group, groups[i]);
        world_put(w, g);
    }
    world_put(w, draft_rule("web-out", "web", "egress"));
    world_put(w, draft_rule("plain-out", "plain", "egress"));
    struct security_group_rule *rule = draft_rule("web-80", "web", "ingress");
    rule->protocol = rec_str(rule, "tcp");
    rule->port_min = rule->port_max = 80;
    world_put(w, rule);
    rule = draft_rule("web-ping", "web", "ingress");
    rule->protocol = rec_str(rule, "icmp");
    world_put(w, rule);
    rule = draft_rule("web-own", "web", "ingress");
    rule->remote_group_id = rec_str(rule, "web");
    world_put(w, rule);
    guest(w, VM_A1, N_A, "a1", "fa:16:3e:00:01:11", "10.0.1.11", "web",
          chassis);
    guest(w, VM_A2, N_A, "a2", "fa:16:3e:00:01:12", "10.0.1.12", "web",
          chassis);
    guest(w, VM_B1, N_B, "b1", "fa:16:3e:00:02:11", "10.0.2.11", "plain",
          chassis);
    guest(w, VM_T1, N_T, "t1", "fa:16:3e:00:03:11", "10.0.1.11", "mute",
          chassis);
}

/* ---- commands ---------------------------------------------------------- */

static void print_status(struct world *w)
{
    static const char *const ids[] = { VM_A1, VM_A2, VM_B1, VM_T1 };
    _autosnap_ struct snapshot *s = cache_snapshot(w->cache);
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        const struct port *p = snap_get(s, &kind_port, ids[i]);
        if (p)
            printf("%s=%s ", p->dns_name, net_status_names[p->status]);
    }
    printf("\n");
}

static void reconcile_all(struct net_reconcile *n)
{
    while (reconciler_step(net_reconcile_queue(n), 0))
        ;
}

static void command(struct world *w, struct net_reconcile *n,
                    const char *external, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (!strncmp(line, "fip ", 4))
        fip(w, external, !strcmp(line + 4, "on"));
    if (!strncmp(line, "snat ", 5)) {
        struct router *r = world_edit(w, &kind_router, "router");
        r->enable_snat = !strcmp(line + 5, "on");
        world_put(w, r);
    }
    if (!strncmp(line, "open ", 5)) {
        struct security_group_rule *r =
            draft_rule("web-more", "web", "ingress");
        r->protocol = rec_str(r, "tcp");
        r->port_min = r->port_max = atoi(line + 5);
        world_put(w, r);
    }
    if (!strcmp(line, "close"))
        world_delete(w, &kind_security_group_rule, "web-more");
    if (!strcmp(line, "leave"))
        world_delete(w, &kind_port, VM_T1);
    if (!strcmp(line, "status"))
        print_status(w);
    if (!strcmp(line, "rebuild"))
        (void)net_reconcile_rebuild(n);
    reconcile_all(n);
    printf("ok\n");
    fflush(stdout);
}

/* Reconciles until there is input: the store in memory wants one thread. */
static char *next_line(struct net_reconcile *n, char *line, int size)
{
    struct pollfd p = { .fd = 0, .events = POLLIN };
    while (poll(&p, 1, 5) <= 0)
        reconcile_all(n);
    return fgets(line, size, stdin);
}

int main(int argc, char **argv)
{
    struct error err = { 0 };
    char line[100];
    if (argc != 3)
        return 2;
    struct world w = world_new();
    struct metadata *m = metadata_open(
        &(struct metadata_config){ OVS_SOCKET, "br-int", argv[1], listener },
        &err);
    if (!m) {
        fprintf(stderr, "net_lab: %s\n", err.text);
        return 1;
    }
    struct net_driver *d =
        ovn_open(&(struct ovn_config){ .nb_socket = OVN_NB_SOCKET,
                                       .nb = { .chassis = argv[1] },
                                       .metadata = m });
    struct net_reconcile *n =
        net_reconcile_new(w.cache, w.store, d, &env_system, 0);
    topology(&w, argv[1], argv[2]);
    world_follow(&w);
    net_reconcile_start(n);
    while (next_line(n, line, sizeof(line)))
        command(&w, n, argv[2], line);
    cache_unfollow(w.cache);
    net_reconcile_free(n);
    network_close(d);
    metadata_close(m);
    cache_free(w.cache);
    store_close(w.store);
    return 0;
}
