#include "compute/libvirt_impl.h"

#include "compute/domain_xml.h"

#include <string.h>

#define XML_MAX 1024

bool libvirt_keep_secret(struct hypervisor *h, const char *uuid,
                         const char *passphrase, struct error *err)
{
    _autoconn_ virConnectPtr c = libvirt_conn(h, err);
    struct buf xml = BUF_INIT(XML_MAX);
    if (!c)
        return false;
    virSecretPtr s = domain_xml_passphrase(&xml, uuid, err)
                         ? virSecretDefineXML(c, buf_str(&xml), 0)
                         : NULL;
    buf_free(&xml);
    bool ok = s && virSecretSetValue(s, (const unsigned char *)passphrase,
                                     strlen(passphrase), 0) == 0;
    if (!ok)
        libvirt_failed(err, c, uuid, "keep a passphrase");
    if (s)
        virSecretFree(s);
    return ok;
}

void libvirt_drop_secret(struct hypervisor *h, const char *uuid)
{
    struct error ignored;
    _autoconn_ virConnectPtr c = libvirt_conn(h, &ignored);
    virSecretPtr s = c ? virSecretLookupByUUIDString(c, uuid) : NULL;
    if (!s)
        return;
    virSecretUndefine(s);
    virSecretFree(s);
}
