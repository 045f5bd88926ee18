/*
 * ceph_slow - which OSD is far slower than its peers.
 *
 * Pure.  A disk that is about to die often answers still, but late, and all
 * that is written waits for it.  It is slow when its writes take CEPH_SLOW_MS
 * or more and CEPH_SLOW_TIMES as long as those of the median OSD, at
 * CEPH_SLOW_LOOKS more looks than not; it is not any more when as many were
 * good.  (Not one after the other: a disk that takes 150 to 550 ms where its
 * peers take 10 was never found.)  Where all are slow none is; an OSD that
 * writes nothing just then, as one whose data has been taken away, is what it
 * was.
 *
 * Threads: the caller's.
 */
#ifndef CAIRN_STORAGE_CEPH_SLOW_H
#define CAIRN_STORAGE_CEPH_SLOW_H

#include <stdbool.h>
#include <stddef.h>

#define CEPH_SLOW_MS    100
#define CEPH_SLOW_TIMES 8
#define CEPH_SLOW_LOOKS 6

/* Of one OSD; zeroed at first. */
struct ceph_slow {
    int looks; /* that spoke against what is believed, less those for it */
    bool slow;
};

/* One look: `ms`: what a write takes at this one, 0: there was none or it took
 * none; `all`: at each, this one among them.  Returns whether it is slow. */
bool ceph_slow_look(struct ceph_slow *s, int ms, const int *all, size_t n);

#endif
