/* SPDX-License-Identifier: Apache-2.0 */
/* Which names are known under the reserved prefixes, so that a misspelt property is told (ice-protocol 20.4).
   A table of patterns: a word in angle brackets stands for a family of suffixes, '*' for anything. */
#include "text_priv.h"

#include <stdio.h>
#include <strings.h>

static const char *const reserved[] = {
    "Ice",           "IceMX",
    "IceDiscovery",  "IceLocatorDiscovery",
    "IceBox",        "IceBoxAdmin",
    "IceBridge",     "IceGrid",
    "IceGridAdmin",  "IcePatch2",
    "IceSSL",        "IcePatch2Client",
    "IceStorm",      "IceBT",
    "IceStormAdmin", "Glacier2",
    "Freeze",        "Glacier2CryptPermissionsVerifier",
    "Moulin",
};

static const char *const acm[] = {"Timeout", "Close", "Heartbeat", NULL};
static const char *const pool[] = {"Size",      "SizeMax",        "SizeWarn",       "StackSize",
                                   "Serialize", "ThreadPriority", "ThreadIdleTime", NULL};
static const char *const proxy[] = {"",
                                    ".EndpointSelection",
                                    ".ConnectionCached",
                                    ".PreferSecure",
                                    ".LocatorCacheTimeout",
                                    ".InvocationTimeout",
                                    ".Locator",
                                    ".Router",
                                    ".CollocationOptimized",
                                    ".Context.*",
                                    NULL};
static const char *const adapter[] = {
    "Endpoints",    "PublishedEndpoints", "AdapterId", "ReplicaGroupId", "Locator<proxy>",    "Router<proxy>",
    "ProxyOptions", "MessageSizeMax",     "ACM",       "ACM.<acm>",      "ThreadPool.<pool>", NULL};

/* Alphabetical within a prefix. */
static const char *const known[] = {
    "Glacier2.AddConnectionContext",
    "Glacier2.Client.<adapter>",
    "Glacier2.Client.AlwaysBatch",
    "Glacier2.Client.Buffered",
    "Glacier2.Client.ForwardContext",
    "Glacier2.Client.SleepTime",
    "Glacier2.Client.Trace.Override",
    "Glacier2.Client.Trace.Reject",
    "Glacier2.Client.Trace.Request",
    "Glacier2.CryptPasswords",
    "Glacier2.Filter.Address.Accept",
    "Glacier2.Filter.Address.Reject",
    "Glacier2.Filter.AdapterId.Accept",
    "Glacier2.Filter.Category.Accept",
    "Glacier2.Filter.Category.AcceptUser",
    "Glacier2.Filter.Identity.Accept",
    "Glacier2.Filter.ProxySizeMax",
    "Glacier2.InstanceName",
    "Glacier2.PermissionsVerifier<proxy>",
    "Glacier2.ReturnClientProxy",
    "Glacier2.RoutingTable.MaxSize",
    "Glacier2.SSLPermissionsVerifier<proxy>",
    "Glacier2.SSLSessionManager<proxy>",
    "Glacier2.Server.<adapter>",
    "Glacier2.Server.AlwaysBatch",
    "Glacier2.Server.Buffered",
    "Glacier2.Server.ForwardContext",
    "Glacier2.Server.SleepTime",
    "Glacier2.Server.Trace.Override",
    "Glacier2.Server.Trace.Request",
    "Glacier2.SessionManager<proxy>",
    "Glacier2.SessionTimeout",
    "Glacier2.Trace.RoutingTable",
    "Glacier2.Trace.Session",
    "Glacier2CryptPermissionsVerifier.*",
    "Ice.ACM.<acm>",
    "Ice.ACM.Client",
    "Ice.ACM.Client.<acm>",
    "Ice.ACM.Server",
    "Ice.ACM.Server.<acm>",
    "Ice.AcceptClassCycles",
    "Ice.Admin.<adapter>",
    "Ice.Admin.DelayCreation",
    "Ice.Admin.Enabled",
    "Ice.Admin.Facets",
    "Ice.Admin.InstanceName",
    "Ice.Admin.Logger.KeepLogs",
    "Ice.Admin.Logger.KeepTraces",
    "Ice.Admin.Logger.Properties",
    "Ice.Admin.ServerId",
    "Ice.BackgroundLocatorCacheUpdates",
    "Ice.BatchAutoFlush",
    "Ice.BatchAutoFlushSize",
    "Ice.CacheMessageBuffers",
    "Ice.ChangeUser",
    "Ice.ClassGraphDepthMax",
    "Ice.Compression.Level",
    "Ice.Config",
    "Ice.ConsoleListener",
    "Ice.Default.CollocationOptimized",
    "Ice.Default.EncodingVersion",
    "Ice.Default.EndpointSelection",
    "Ice.Default.Host",
    "Ice.Default.InvocationTimeout",
    "Ice.Default.Locator<proxy>",
    "Ice.Default.LocatorCacheTimeout",
    "Ice.Default.Package",
    "Ice.Default.PreferSecure",
    "Ice.Default.Protocol",
    "Ice.Default.Router<proxy>",
    "Ice.Default.SlicedFormat",
    "Ice.Default.SourceAddress",
    "Ice.Default.Timeout",
    "Ice.EventLog.Source",
    "Ice.FactoryAssemblies",
    "Ice.HTTPProxyHost",
    "Ice.HTTPProxyPort",
    "Ice.IPv4",
    "Ice.IPv6",
    "Ice.ImplicitContext",
    "Ice.InitPlugins",
    "Ice.LogFile",
    "Ice.LogFile.SizeMax",
    "Ice.LogStdErr.Convert",
    "Ice.MessageSizeMax",
    "Ice.Nohup",
    "Ice.Override.CloseTimeout",
    "Ice.Override.Compress",
    "Ice.Override.ConnectTimeout",
    "Ice.Override.Secure",
    "Ice.Override.Timeout",
    "Ice.Package.*",
    "Ice.Plugin.*",
    "Ice.PluginLoadOrder",
    "Ice.PreferIPv6Address",
    "Ice.PreloadAssemblies",
    "Ice.PrintAdapterReady",
    "Ice.PrintProcessId",
    "Ice.PrintStackTraces",
    "Ice.ProgramName",
    "Ice.RetryIntervals",
    "Ice.SOCKSProxyHost",
    "Ice.SOCKSProxyPort",
    "Ice.ServerIdleTime",
    "Ice.StdErr",
    "Ice.StdOut",
    "Ice.SyslogFacility",
    "Ice.TCP.Backlog",
    "Ice.TCP.RcvSize",
    "Ice.TCP.SndSize",
    "Ice.ThreadInterruptSafe",
    "Ice.ThreadPool.Client.<pool>",
    "Ice.ThreadPool.Server.<pool>",
    "Ice.ThreadPriority",
    "Ice.ToStringMode",
    "Ice.Trace.Admin.Logger",
    "Ice.Trace.Admin.Properties",
    "Ice.Trace.Locator",
    "Ice.Trace.Network",
    "Ice.Trace.Protocol",
    "Ice.Trace.Retry",
    "Ice.Trace.Slicing",
    "Ice.Trace.ThreadPool",
    "Ice.UDP.RcvSize",
    "Ice.UDP.SndSize",
    "Ice.UseApplicationClassLoader",
    "Ice.UseOSLog",
    "Ice.UseSyslog",
    "Ice.UseSystemdJournal",
    "Ice.Warn.AMICallback",
    "Ice.Warn.Connections",
    "Ice.Warn.Datagrams",
    "Ice.Warn.Dispatch",
    "Ice.Warn.Endpoints",
    "Ice.Warn.UnknownProperties",
    "Ice.Warn.UnusedProperties",
    "IceBT.*",
    "IceBox.*",
    "IceBoxAdmin.*",
    "IceBridge.*",
    "IceDiscovery.*",
    "IceGrid.InstanceName",
    "IceGrid.Node.<adapter>",
    "IceGrid.Node.*",
    "IceGrid.Registry.AdminCryptPasswords",
    "IceGrid.Registry.AdminPermissionsVerifier<proxy>",
    "IceGrid.Registry.AdminSSLPermissionsVerifier<proxy>",
    "IceGrid.Registry.AdminSessionFilters",
    "IceGrid.Registry.AdminSessionManager.<adapter>",
    "IceGrid.Registry.Client.<adapter>",
    "IceGrid.Registry.CryptPasswords",
    "IceGrid.Registry.Data",
    "IceGrid.Registry.DefaultTemplates",
    "IceGrid.Registry.Discovery.*",
    "IceGrid.Registry.DynamicRegistration",
    "IceGrid.Registry.Internal.<adapter>",
    "IceGrid.Registry.LMDB.MapSize",
    "IceGrid.Registry.LMDB.Path",
    "IceGrid.Registry.NodeSessionTimeout",
    "IceGrid.Registry.PermissionsVerifier<proxy>",
    "IceGrid.Registry.ReplicaName",
    "IceGrid.Registry.ReplicaSessionTimeout",
    "IceGrid.Registry.RequireNodeCertCN",
    "IceGrid.Registry.RequireReplicaCertCN",
    "IceGrid.Registry.SSLPermissionsVerifier<proxy>",
    "IceGrid.Registry.Server.<adapter>",
    "IceGrid.Registry.SessionFilters",
    "IceGrid.Registry.SessionManager.<adapter>",
    "IceGrid.Registry.SessionTimeout",
    "IceGrid.Registry.Trace.Adapter",
    "IceGrid.Registry.Trace.Admin",
    "IceGrid.Registry.Trace.Application",
    "IceGrid.Registry.Trace.Discovery",
    "IceGrid.Registry.Trace.Locator",
    "IceGrid.Registry.Trace.Node",
    "IceGrid.Registry.Trace.Object",
    "IceGrid.Registry.Trace.Patch",
    "IceGrid.Registry.Trace.Replica",
    "IceGrid.Registry.Trace.Server",
    "IceGrid.Registry.Trace.Session",
    "IceGrid.Registry.Trace.Subscriber",
    "IceGrid.Registry.Trace.Topic",
    "IceGrid.Registry.Trace.TopicManager",
    "IceGrid.Registry.UserAccounts",
    "IceGridAdmin.*",
    "IceLocatorDiscovery.*",
    "IceMX.Metrics.*",
    "IcePatch2.*",
    "IcePatch2Client.*",
    "IceSSL.CAs",
    "IceSSL.CertAuthDir",
    "IceSSL.CertAuthFile",
    "IceSSL.CertFile",
    "IceSSL.CertStore",
    "IceSSL.CertStoreLocation",
    "IceSSL.CertVerifier",
    "IceSSL.CertificateRevocationListFiles",
    "IceSSL.CheckCRL",
    "IceSSL.CheckCertName",
    "IceSSL.Ciphers",
    "IceSSL.DHParams",
    "IceSSL.DefaultDir",
    "IceSSL.EntropyDaemon",
    "IceSSL.FindCert",
    "IceSSL.InitOpenSSL",
    "IceSSL.KeyFile",
    "IceSSL.Keychain",
    "IceSSL.KeychainPassword",
    "IceSSL.Keystore",
    "IceSSL.KeystorePassword",
    "IceSSL.Password",
    "IceSSL.PasswordCallback",
    "IceSSL.PasswordRetryMax",
    "IceSSL.Protocols",
    "IceSSL.Random",
    "IceSSL.RevocationCheck",
    "IceSSL.SchannelStrongCrypto",
    "IceSSL.SecurityLevel",
    "IceSSL.Trace.Security",
    "IceSSL.TrustOnly",
    "IceSSL.TrustOnly.Client",
    "IceSSL.TrustOnly.Server",
    "IceSSL.TrustOnly.Server.*",
    "IceSSL.UsePlatformCAs",
    "IceSSL.VerifyDepthMax",
    "IceSSL.VerifyPeer",
    "IceStorm.*",
    "IceStormAdmin.*",
    "Freeze.*",
    "Moulin.BusyPause",
    "Moulin.Gateway.AuditLog",
    "Moulin.Gateway.AuthTimeout",
    "Moulin.Gateway.AuthUser",
    "Moulin.Gateway.AuthWorkers",
    "Moulin.Gateway.CertificateUsers",
    "Moulin.Gateway.Client.Queue.MaxBytes",
    "Moulin.Gateway.Client.Queue.MaxMessages",
    "Moulin.Gateway.Filter.Loopback",
    "Moulin.Gateway.HideErrors",
    "Moulin.Gateway.LoginTimeout",
    "Moulin.Gateway.MaxConnections",
    "Moulin.Gateway.MaxSessions",
    "Moulin.Gateway.MaxSessionsPerUser",
    "Moulin.Gateway.MaxUnauthenticated",
    "Moulin.Gateway.PamDirectory",
    "Moulin.Gateway.PamService",
    "Moulin.Gateway.ProxyProtocol",
    "Moulin.Gateway.Server.Queue.MaxBytes",
    "Moulin.Gateway.Server.Queue.MaxMessages",
    "Moulin.Gateway.Server.Queue.Overflow",
    "Moulin.Gateway.SessionLifetime",
    "Moulin.Gateway.Throttle.Concurrent",
    "Moulin.Gateway.Throttle.Entries",
    "Moulin.Gateway.Throttle.Failures",
    "Moulin.Gateway.Throttle.Forget",
    "Moulin.Gateway.Throttle.MaxPenalty",
    "Moulin.Gateway.Verifiers",
    "Moulin.Heartbeat",
    "Moulin.IoUring",
    "Moulin.MaxDispatches",
    "Moulin.OnewayPause",
    "Moulin.Registry.AckPoll",
    "Moulin.Registry.AdminPamDirectory",
    "Moulin.Registry.AdminPamService",
    "Moulin.Registry.AdminVerifiers",
    "Moulin.Registry.AuthTimeout",
    "Moulin.Registry.AuthUser",
    "Moulin.Registry.AuthWorkers",
    "Moulin.Registry.DynamicGroupFilter<proxy>",
    "Moulin.Registry.GroupFilter.*",
    "Moulin.Registry.MinReplicas",
    "Moulin.Registry.PamDirectory",
    "Moulin.Registry.PamService",
    "Moulin.Registry.ReplicaAckTimeout",
    "Moulin.Registry.SecondMaster",
    "Moulin.Registry.TypeFilter.*",
    "Moulin.Registry.Verifiers",
    "Moulin.Storm.ForceMajority",
    "Moulin.Storm.Queue.MaxBytes",
    "Moulin.Storm.ReplyTimeout",
    "Moulin.Storm.Services",
    "Moulin.Storm.WaitTimeout",
    "Moulin.VerifierOptional",
    "Moulin.Workers",
};

size_t ir_reserved_prefix(const char *key)
{
    const char *dot = strchr(key, '.');

    for (size_t i = 0; dot != NULL && i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        size_t n = strlen(reserved[i]);

        if ((size_t)(dot - key) == n && memcmp(key, reserved[i], n) == 0)
            return n;
    }
    return 0;
}

typedef int (*compare_fn)(const char *a, const char *b, size_t n);

static const char *const *family(const char *name)
{
    switch (name[1]) {
    case 'a':
        return name[2] == 'c' ? acm : adapter;
    case 'p':
        return name[2] == 'r' ? proxy : pool;
    default:
        return NULL;
    }
}

/* Does key match pattern? The spelling the table has is appended to meant (may be NULL). Depth is bounded by the
   table: adapter -> proxy. */
static bool match(const char *key, const char *pattern, compare_fn compare, struct ib_buf *meant)
{
    size_t literal = strcspn(pattern, "<*");

    if (strlen(key) < literal || compare(key, pattern, literal) != 0)
        return false;
    if (meant != NULL)
        ib_buf_put(meant, pattern, literal);
    if (pattern[literal] == 0)
        return key[literal] == 0;
    if (pattern[literal] == '*') {
        if (meant != NULL)
            ib_buf_puts(meant, key + literal);
        return true;
    }
    for (const char *const *f = family(pattern + literal); f != NULL && *f != NULL; f++) {
        size_t n = meant ? meant->n : 0;

        if (match(key + literal, *f, compare, meant))
            return true;
        if (meant != NULL)
            meant->n = n;
    }
    return false;
}

enum ir_name_verdict ir_property_name_check(const char *key, char *meant, size_t cap)
{
    struct ib_buf found;

    meant[0] = 0;
    if (ir_reserved_prefix(key) == 0)
        return IR_NAME_FREE;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (match(key, known[i], strncmp, NULL))
            return IR_NAME_KNOWN;
    }
    ib_buf_init(&found);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ib_buf_clear(&found);
        if (match(key, known[i], strncasecmp, &found)) {
            snprintf(meant, cap, "%s", ib_buf_cstr(&found));
            break;
        }
    }
    ib_buf_fini(&found);
    return IR_NAME_UNKNOWN;
}

/* --- near misses -------------------------------------------------------------------------------------------------- */

#define NAME_MAX_LEN 96 /* no known name is longer */
#define MISSES_MAX 3

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours between two names, whatever their case. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    size_t n = strlen(a), m = strlen(b);
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            bool same = strncasecmp(a + i - 1, b + j - 1, 1) == 0;
            row[j] = least(least(up[j], row[j - 1]) + 1, up[j - 1] + !same);
            if (i > 1 && j > 1 && strncasecmp(a + i - 1, b + j - 2, 1) == 0 &&
                strncasecmp(a + i - 2, b + j - 1, 1) == 0)
                row[j] = least(row[j], up2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

struct nearest {
    const char *key;
    unsigned misses;
    char *meant;
    size_t cap;
};

/* Every name a pattern stands for; name holds what is spelt out already. Depth as in match. */
static void try_names(struct nearest *best, const char *pattern, char name[NAME_MAX_LEN + 1])
{
    size_t start = strlen(name), literal = strcspn(pattern, "<*");
    if (start + literal > NAME_MAX_LEN || pattern[literal] == '*')
        return;
    memcpy(name + start, pattern, literal);
    name[start + literal] = 0;
    if (pattern[literal] == 0) {
        unsigned misses = distance(best->key, name);
        if (misses < best->misses) {
            best->misses = misses;
            snprintf(best->meant, best->cap, "%s", name);
        }
        return;
    }
    for (const char *const *f = family(pattern + literal); f != NULL && *f != NULL; f++) {
        name[start + literal] = 0;
        try_names(best, *f, name);
    }
}

static void find_nearest(const char *key, char *meant, size_t cap)
{
    struct nearest best = {.key = key, .misses = MISSES_MAX + 1, .meant = meant, .cap = cap};
    char name[NAME_MAX_LEN + 1];
    size_t prefix = strcspn(key, ".") + 1;
    if (strlen(key) > NAME_MAX_LEN)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        name[0] = 0;
        if (strncmp(known[i], key, prefix) == 0)
            try_names(&best, known[i], name);
    }
}

/* The warnings about names are Ice's, which know no near misses but those of case. */
bool ir_property_is_known(const char *key, char *meant, size_t cap)
{
    if (ir_property_name_check(key, meant, cap) != IR_NAME_UNKNOWN)
        return true;
    if (meant[0] == 0)
        find_nearest(key, meant, cap);
    return false;
}
