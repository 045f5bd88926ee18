/*
 * ceph_leave - when an OSD may go, and what is to be done next for that.
 *
 * Pure.  An OSD whose disk an administrator wants back is emptied first: it is
 * marked out, its data goes to the others, and only when the cluster says that
 * nothing hangs on it any more it is stopped and purged.  It is not begun when
 * the others are too few to hold all copies: then the data would only lose one.
 *
 * One whose disk is gone has nothing to give any more: it is marked out at
 * once, so that the copies are made anew, and purged when all data can be read
 * without it.
 *
 * Threads: the caller's.
 */
#ifndef CAIRN_STORAGE_CEPH_LEAVE_H
#define CAIRN_STORAGE_CEPH_LEAVE_H

#include "storage/ceph_plan.h"

struct ceph_leave_facts {
    bool asked;   /* an administrator wants it to leave */
    bool leaving; /* it was asked before */
    bool gone;    /* its disk, or its node, does not answer */
    bool up, in;  /* as the cluster sees it */
    bool room;    /* the others are enough for all copies */
    bool safe;    /* the cluster: nothing hangs on it */
    bool whole;   /* all data can be read and written as it is now */
};

enum ceph_leave {
    CEPH_STAY,
    CEPH_STAY_FULL, /* asked, but the others have no room for the copies */
    CEPH_BACK,      /* not asked any more: mark it in */
    CEPH_OUT,       /* mark it out */
    CEPH_MOVING,    /* its data is on its way */
    CEPH_STOP,      /* end its daemon */
    CEPH_PURGE,     /* the cluster forgets it */
};

enum ceph_leave ceph_leave_next(const struct ceph_leave_facts *f);

/* Can the others hold all copies in different domains? */
bool ceph_leave_has_room(const struct ceph_facts *facts, int osd);

#endif
