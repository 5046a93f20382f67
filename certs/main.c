/* SPDX-License-Identifier: Apache-2.0 */
/* `moulin certs ca|server|client`: the command line of the certificate maker. */
#include <moulin/certs/certs.h>

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <moulin/base/secret.h>

#define HOSTS_MAX 64
#define DAYS_MAX 36500

static const char usage[] =
    "Usage: moulin certs ca [options]            a private certificate authority: ca.pem, ca.key\n"
    "       moulin certs server NAME [options]   a certificate for a daemon: NAME.pem, NAME.key\n"
    "       moulin certs client NAME [options]   a certificate for a person or a program\n"
    "Options:\n"
    "  -d, --dir DIR            where the files are (default: certs); made when missing\n"
    "  -H, --host HOST          server: a host name or address clients connect to; may be repeated\n"
    "  -s, --subject NAME       common name (default: NAME)\n"
    "  -D, --days N             how long it is valid (default: 3650 for a CA, 825 for others)\n"
    "      --p12-password-file FILE  also write NAME.p12, protected by the first line of FILE\n"
    "  -f, --force              replace existing files\n"
    "  -h, --help               this text\n"
    "Keys are unprotected files that only their owner can read: keep ca.key somewhere safe.\n";

static int complain(const char *name, const char *text)
{
    (void)fprintf(stderr, "%s: %s\n", name, text);
    return 1;
}

static int read_first_line(const char *path, char *out, int cap)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, cap, f);
    if (f) {
        (void)fclose(f);
    }
    if (ok) {
        out[strcspn(out, "\r\n")] = '\0';
    }
    return ok && out[0] ? 0 : IB_EFILE;
}

struct options {
    struct certs_request rq;
    const char *hosts[HOSTS_MAX];
    char p12_password[256];
};

/* 0 = go on, 1 = complained, 2 = help was asked for */
static int parse_option(struct options *o, int opt, const char *name)
{
    switch (opt) {
    case 'd':
        o->rq.dir = optarg;
        return 0;
    case 'H':
        if (o->rq.n_hosts == HOSTS_MAX) {
            return complain(name, "at most 64 hosts");
        }
        o->hosts[o->rq.n_hosts++] = optarg;
        return 0;
    case 's':
        o->rq.subject = optarg;
        return 0;
    case 'D':
        o->rq.days = atoi(optarg);
        return isdigit((unsigned char)optarg[0]) && o->rq.days >= 1 && o->rq.days <= DAYS_MAX
                   ? 0
                   : complain(name, "--days takes a number from 1 to 36500");
    case 'p':
        if (read_first_line(optarg, o->p12_password, (int)sizeof(o->p12_password)) != 0) {
            return complain(name, "cannot read a password from the first line of the --p12-password-file");
        }
        o->rq.p12_password = o->p12_password;
        return 0;
    case 'f':
        o->rq.force = true;
        return 0;
    case 'h':
        (void)fputs(usage, stdout);
        return 2;
    default:
        (void)fputs(usage, stderr);
        return 1;
    }
}

static int parse_words(struct options *o, int argc, char **argv)
{
    static const char *const kinds[] = {[CERTS_CA] = "ca", [CERTS_SERVER] = "server", [CERTS_CLIENT] = "client"};
    int left = argc - optind;
    for (size_t i = 0; left > 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(argv[optind], kinds[i]) == 0 && left == (i == CERTS_CA ? 1 : 2)) {
            o->rq.kind = (enum certs_kind)i;
            o->rq.name = left == 2 ? argv[optind + 1] : "ca";
            return 0;
        }
    }
    (void)fputs(usage, stderr);
    return 1;
}

static int make(struct options *o, const char *name)
{
    struct ib_err err = {0};
    if (o->rq.days == 0) {
        o->rq.days = o->rq.kind == CERTS_CA ? 3650 : 825;
    }
    if (certs_make(&o->rq, &err) != 0) {
        return complain(name, err.text);
    }
    (void)printf("%s/%s.pem, %s/%s.key%s\n", o->rq.dir, o->rq.name, o->rq.dir, o->rq.name,
                 o->rq.p12_password ? " and the .p12 beside them" : "");
    return 0;
}

int certs_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},     {"host", required_argument, NULL, 'H'},
        {"subject", required_argument, NULL, 's'}, {"days", required_argument, NULL, 'D'},
        {"force", no_argument, NULL, 'f'},         {"p12-password-file", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    struct options o = {.rq = {.dir = "certs"}};
    o.rq.hosts = o.hosts;
    int opt, rc = 0;
    optind = 1;
    while (rc == 0 && (opt = getopt_long(argc, argv, "d:H:s:D:fh", options, NULL)) != -1) {
        rc = parse_option(&o, opt, argv[0]);
    }
    if (rc == 0) {
        rc = parse_words(&o, argc, argv);
    }
    if (rc == 0) {
        rc = make(&o, argv[0]);
    }
    ib_wipe(o.p12_password, sizeof(o.p12_password));
    return rc == 2 ? 0 : rc;
}
