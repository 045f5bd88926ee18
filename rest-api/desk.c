#include "rest-api/desk.h"

#include "common/alloc.h"

#include <pthread.h>
#include <stdlib.h>

struct desk {
    pthread_mutex_t lock;
    struct view *view;
};

struct desk *desk_new(void)
{
    struct desk *d = xcalloc(1, sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    d->view = view_new();
    return d;
}

void desk_free(struct desk *d)
{
    if (!d)
        return;
    view_free(d->view);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

struct view *desk_take(struct api *api, struct snapshot *snap, int64_t now)
{
    struct desk *d = api->desk;
    if (d)
        pthread_mutex_lock(&d->lock);
    struct view *v = d ? d->view : view_new();
    view_follow(v, snap, now);
    return v;
}

void desk_give(struct api *api, struct view *v)
{
    if (api->desk)
        pthread_mutex_unlock(&api->desk->lock);
    else
        view_free(v);
}
