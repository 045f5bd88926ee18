/* bench/define: what libvirt alone needs to define and start a guest: the
 * bare cost to hold against POST /servers.  Prints milliseconds.
 *
 *   define FILE            domain XML; the domain is gone afterwards */
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/env.h"

#include <libvirt/libvirt.h>
#include <stdio.h>

static bool read_file(const char *path, struct buf *out)
{
    char block[4096];
    size_t n;
    FILE *f = fopen(path, "r");
    while (f && (n = fread(block, 1, sizeof(block), f)) > 0)
        buf_add(out, block, n);
    return f && fclose(f) == 0;
}

int main(int argc, char **argv)
{
    struct buf xml = BUF_INIT(1024 * 1024);
    virConnectPtr conn = virConnectOpen("qemu:///system");
    if (argc != 2 || !conn || !read_file(argv[1], &xml)) {
        fprintf(stderr, "usage: define FILE (libvirt must be there)\n");
        return 1;
    }
    int64_t begun = env_mono(&env_system);
    virDomainPtr domain = virDomainDefineXML(conn, buf_str(&xml));
    bool ok = domain && virDomainCreate(domain) == 0;
    int64_t took = env_mono(&env_system) - begun;
    if (ok) {
        printf("%.3f\n", (double)took / 1000);
        virDomainDestroy(domain);
    }
    if (domain) {
        virDomainUndefine(domain);
        virDomainFree(domain);
    }
    virConnectClose(conn);
    buf_free(&xml);
    return ok ? 0 : 1;
}
