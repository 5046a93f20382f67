/* SPDX-License-Identifier: Apache-2.0 */
/* A main for fuzz targets built without libFuzzer: runs them on files and on all files of directories. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        perror(path);
        if (f)
            fclose(f);
        return false;
    }
    size_t n = (size_t)st.st_size;
    uint8_t *p = malloc(n ? n : 1); /* exact, so that ASan sees reads behind the end */
    bool ok = p && fread(p, 1, n, f) == n;
    fclose(f);
    if (ok)
        LLVMFuzzerTestOneInput(p, n);
    free(p);
    return ok;
}

static bool run_dir(const char *path, size_t *count)
{
    DIR *d = opendir(path);
    if (!d) {
        perror(path);
        return false;
    }
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(d));) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        ok = run_file(name);
        (*count)++;
    }
    closedir(d);
    return ok;
}

int main(int argc, char **argv)
{
    size_t count = 0;
    bool ok = true;
    for (int i = 1; i < argc && ok; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            ok = run_dir(argv[i], &count);
        } else {
            ok = run_file(argv[i]);
            count++;
        }
    }
    printf("%zu inputs\n", count);
    return ok && count > 0 ? 0 : 1;
}
