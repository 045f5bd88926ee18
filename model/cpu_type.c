#include "model/cpu_type.h"

#include "common/cleanup.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#define PREFIX "HW_CPU_X86_"

/* Where os_traits and libvirt call the same by names that differ in more
 * than case and signs. */
static const struct {
    const char *trait, *feature;
} others[] = {
    { "AESNI", "aes" },     { "SHA", "sha-ni" },  { "AMD_SVM", "svm" },
    { "INTEL_VMX", "vmx" }, { "3DNOW", "3dnow" },
};

bool cpu_type_is_trait(const char *trait)
{
    return strncmp(trait, PREFIX, sizeof(PREFIX) - 1) == 0;
}

/* "SSE4_1" and "sse4.1" are the same. */
static bool alike(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a && !isalnum((unsigned char)*a))
            a++;
        while (*b && !isalnum((unsigned char)*b))
            b++;
        if (!*a || toupper((unsigned char)*a) != toupper((unsigned char)*b))
            return !*a && !*b;
    }
}

bool cpu_type_has(const char *cpu_info, const char *trait)
{
    size_t i;
    json_t *f;
    if (!cpu_info || !cpu_type_is_trait(trait))
        return false;
    const char *wanted = trait + sizeof(PREFIX) - 1;
    for (i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(wanted, others[i].trait) == 0)
            wanted = others[i].feature;
    _autojson_ json_t *cpu = json_loads(cpu_info, 0, NULL);
    json_array_foreach(json_object_get(cpu, "features"), i, f)
    {
        if (json_is_string(f) && alike(wanted, json_string_value(f)))
            return true;
    }
    return false;
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static bool within(const json_t *features, const char *one)
{
    for (size_t i = 0; i < json_array_size(features); i++) {
        const char *f = json_string_value(json_array_get(features, i));
        if (f && strcmp(f, one) == 0)
            return true;
    }
    return false;
}

bool cpu_type_covers(const char *host, const char *guest)
{
    size_t i;
    json_t *f;
    if (!host || !guest || strcmp(host, guest) == 0)
        return true;
    _autojson_ json_t *h = json_loads(host, 0, NULL);
    _autojson_ json_t *g = json_loads(guest, 0, NULL);
    const json_t *has = json_object_get(h, "features");
    json_t *needs = json_object_get(g, "features");
    if (!json_array_size(has) || !json_array_size(needs))
        return true;
    json_array_foreach(needs, i, f)
    {
        if (json_is_string(f) && !within(has, json_string_value(f)))
            return false;
    }
    return same(h, g, "vendor") && same(h, g, "arch");
}
