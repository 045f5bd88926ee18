/* cairnd - the daemon: both of its processes (core.h, face.h). */
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "compute/kvm_probe.h"
#include "daemon/api_page.h"
#include "daemon/config.h"
#include "daemon/core.h"
#include "daemon/face.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(FILE *to, int code)
{
    struct buf keys = BUF_INIT(64 * 1024);
    config_describe(&keys);
    fprintf(to,
            "cairnd %s: a node of a Cairn pool\n\n"
            "  cairnd [--config FILE]    run (FILE is %s unless given)\n"
            "  cairnd --services         only the daemons a node needs\n"
            "  cairnd --check-config     is the file right? then end\n"
            "  cairnd --probe-kvm        do guests run with KVM here? 0: yes\n"
            "  cairnd --page api|config  that page of docs/, in Markdown\n"
            "  cairnd --version\n\n"
            "Keys of the file:\n\n%s",
            CAIRN_VERSION, CONFIG_FILE, buf_str(&keys));
    buf_free(&keys);
    return code;
}

static int probe_kvm(void)
{
    const struct kvm_probe_opts opts = { 0 };
    struct kvm_probe_result result;
    struct error err;
    if (!kvm_probe(&opts, &result, &err)) {
        fprintf(stderr, "cairnd: %s\n", err.text);
        return 2;
    }
    printf("%s (%d ms)\n", result.usable ? "KVM works" : result.reason,
           result.ms);
    return result.usable ? 0 : 1;
}

static int print_page(const char *name)
{
    static const struct {
        const char *name;
        void (*write)(struct buf *out);
    } pages[] = { { "api", api_page }, { "config", config_page } };
    struct buf page = BUF_INIT(1024 * 1024);
    size_t i = 0;
    while (i < ARRAY_SIZE(pages) && strcmp(pages[i].name, name) != 0)
        i++;
    if (i == ARRAY_SIZE(pages))
        return usage(stderr, 2);
    pages[i].write(&page);
    fputs(buf_str(&page), stdout);
    buf_free(&page);
    return 0;
}

static int check_only(const struct config *config)
{
    return 0;
}

/* What to do with a configuration that is right. */
typedef int run_fn(const struct config *config);

static int run(const char *path, run_fn *fn)
{
    struct config config;
    struct error err;
    if (!config_load(&config, path, &err)) {
        fprintf(stderr, "cairnd: %s\n", err.text);
        return 2;
    }
    log_set_level((enum log_level)config.log_level);
    for (size_t i = 0; i < config.n_unknown; i++)
        log_warn("config", "%s: line %d: unknown key '%s' is ignored", path,
                 config.unknown[i].line, config.unknown[i].key);
    int code = fn(&config);
    config_free(&config);
    return code;
}

int main(int argc, char **argv)
{
    const char *path = CONFIG_FILE;
    run_fn *fn = core_run;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--face") == 0 && argc == 2)
            return face_main();
        if (strcmp(argv[i], "--version") == 0) {
            printf("cairnd %s\n", CAIRN_VERSION);
            return 0;
        }
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout, 0);
        if (strcmp(argv[i], "--probe-kvm") == 0)
            return probe_kvm();
        if (strcmp(argv[i], "--page") == 0 && i + 1 < argc)
            return print_page(argv[i + 1]);
        if (strcmp(argv[i], "--check-config") == 0)
            fn = check_only;
        else if (strcmp(argv[i], "--services") == 0)
            fn = core_run_services;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            path = argv[++i];
        else
            return usage(stderr, 2);
    }
    return run(path, fn);
}
