#include "network/network.h"

bool network_apply(struct net_driver *d, const struct snapshot *s,
                   struct error *err)
{
    return d->ops->apply(d, s, err);
}

bool network_rebuild(struct net_driver *d, const struct snapshot *s,
                     struct error *err)
{
    return d->ops->rebuild(d, s, err);
}

enum port_state network_port_state(struct net_driver *d, const char *port_id)
{
    return d->ops->port_state(d, port_id);
}

void network_watch(struct net_driver *d, void (*fn)(void *arg), void *arg)
{
    d->ops->watch(d, fn, arg);
}

bool network_writes(struct net_driver *d)
{
    return !d->ops->writes || d->ops->writes(d);
}

void network_close(struct net_driver *d)
{
    if (d)
        d->ops->close(d);
}
