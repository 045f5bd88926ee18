#include "storage/ceph_slow.h"

/* The lower one of an even number: of two OSDs the other is the peer. */
static int median(const int *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t less = 0, same = 0;
        for (size_t j = 0; j < n; j++) {
            less += all[j] < all[i];
            same += all[j] == all[i];
        }
        if (less <= (n - 1) / 2 && (n - 1) / 2 < less + same)
            return all[i];
    }
    return 0;
}

bool ceph_slow_look(struct ceph_slow *s, int ms, const int *all, size_t n)
{
    if (ms <= 0)
        return s->slow;
    bool now =
        n > 1 && ms >= CEPH_SLOW_MS && ms / CEPH_SLOW_TIMES >= median(all, n);
    s->looks += now != s->slow ? 1 : s->looks ? -1 : 0;
    if (s->looks == CEPH_SLOW_LOOKS) {
        s->slow = now;
        s->looks = 0;
    }
    return s->slow;
}
