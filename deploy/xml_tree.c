/* SPDX-License-Identifier: Apache-2.0 */
/* Expat's events made a tree. Entities are not expanded beyond XML's own five: a document type is refused. */
#include "xml_tree.h"

#include <moulin/base/buf.h>

#include <errno.h>
#include <expat.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (16 * 1024 * 1024)
#define DEPTH_MAX 64
#define ELEMENTS_MAX 500000

struct loader {
    XML_Parser parser;
    const char *path;
    struct ib_arena *arena;
    struct xml_element *root, *current;
    struct ib_buf text; /* since the last tag */
    int depth, elements;
    int code; /* first fault found by us, not by expat */
    struct ib_err *err;
};

static void fault(struct loader *l, int code, const char *what)
{
    if (l->code == 0)
        l->code = ib_err_set(l->err, code, "error in <%s> descriptor, line %lu, column %lu:\n%s", l->path,
                             XML_GetCurrentLineNumber(l->parser), XML_GetCurrentColumnNumber(l->parser), what);
    XML_StopParser(l->parser, XML_FALSE);
}

static void copy_attributes(struct loader *l, struct xml_element *e, const XML_Char **attributes)
{
    while (attributes[2 * e->n_attributes])
        e->n_attributes++;
    e->attributes = IB_ARENA_ARRAY(l->arena, e->n_attributes, struct xml_attribute);
    for (size_t i = 0; e->attributes && i < e->n_attributes; i++) {
        e->attributes[i].name = ib_arena_strz(l->arena, attributes[2 * i]).p;
        e->attributes[i].value = ib_arena_strz(l->arena, attributes[2 * i + 1]).p;
        if (!e->attributes[i].name || !e->attributes[i].value)
            e->attributes = NULL;
    }
    if (!e->attributes)
        fault(l, IB_ENOMEM, "out of memory");
}

/* What was read since the last tag belongs to the open element; blanks between children are forgotten. */
static void keep_text(struct loader *l)
{
    const char *text = ib_buf_cstr(&l->text);
    struct xml_element *e = l->current;
    if (e && l->text.n && (!e->first || strspn(text, " \t\r\n") != l->text.n)) {
        e->text = ib_arena_str(l->arena, (struct ib_str){text, l->text.n});
        if (!e->text.p)
            fault(l, IB_ENOMEM, "out of memory");
    }
    ib_buf_clear(&l->text);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct loader *l = arg;
    if (++l->depth > DEPTH_MAX || ++l->elements > ELEMENTS_MAX) {
        fault(l, IB_ELIMIT, l->depth > DEPTH_MAX ? "elements are nested too deeply" : "too many elements");
        return;
    }
    keep_text(l);
    struct xml_element *e = IB_ARENA_NEW(l->arena, struct xml_element);
    if (!e || !(e->name = ib_arena_strz(l->arena, name).p)) {
        fault(l, IB_ENOMEM, "out of memory");
        return;
    }
    e->file = l->path;
    e->line = (int)XML_GetCurrentLineNumber(l->parser);
    e->column = (int)XML_GetCurrentColumnNumber(l->parser);
    e->parent = l->current;
    copy_attributes(l, e, attributes);
    if (!l->current)
        l->root = e;
    else if (l->current->last)
        l->current->last->next = e;
    else
        l->current->first = e;
    if (l->current)
        l->current->last = e;
    l->current = e;
}

static void on_end(void *arg, const XML_Char *name)
{
    struct loader *l = arg;
    (void)name;
    keep_text(l);
    l->depth--;
    if (l->current)
        l->current = l->current->parent;
}

static void on_text(void *arg, const XML_Char *text, int n)
{
    struct loader *l = arg;
    ib_buf_put(&l->text, text, (size_t)n);
    if (!ib_buf_ok(&l->text))
        fault(l, IB_ENOMEM, "out of memory");
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)internal;
    fault(arg, IB_EUNSUPPORTED, "a document type is not allowed");
}

static int feed(struct loader *l, FILE *f)
{
    char buf[8192];
    size_t total = 0;
    for (;;) {
        size_t n = fread(buf, 1, sizeof buf, f);
        bool last = n < sizeof buf;
        if (ferror(f))
            return ib_err_set(l->err, IB_EIO, "cannot read `%s': %s", l->path, strerror(errno));
        if ((total += n) > FILE_MAX_BYTES)
            return ib_err_set(l->err, IB_ELIMIT, "`%s' is larger than %d bytes", l->path, FILE_MAX_BYTES);
        if (XML_Parse(l->parser, buf, (int)n, last) == XML_STATUS_ERROR)
            return l->code != 0
                       ? l->code
                       : ib_err_set(l->err, IB_EMARSHAL, "error in <%s> descriptor, line %lu, column %lu:\n%s", l->path,
                                    XML_GetCurrentLineNumber(l->parser), XML_GetCurrentColumnNumber(l->parser),
                                    XML_ErrorString(XML_GetErrorCode(l->parser)));
        if (last)
            return 0;
    }
}

/* A daemon reads templates on its event loop: a pipe or a device would stop it. */
static int open_file(const char *path, FILE **f, struct ib_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd == -1)
        return ib_err_set(err, IB_EFILE, "unable to open file `%s': %s", path, strerror(errno));
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    *f = regular ? fdopen(fd, "r") : NULL;
    if (*f)
        return 0;
    close(fd);
    return ib_err_set(err, IB_EFILE, "unable to open file `%s': %s", path,
                      regular ? strerror(errno) : "not a regular file");
}

int xml_load(const char *path, struct ib_arena *arena, struct xml_element **root, struct ib_err *err)
{
    FILE *f;
    int code = open_file(path, &f, err);
    if (code != 0)
        return code;
    struct loader l = {
        .parser = XML_ParserCreate(NULL), .arena = arena, .err = err, .path = ib_arena_strz(arena, path).p};
    code = l.parser && l.path ? 0 : ib_err_set(err, IB_ENOMEM, "out of memory");
    if (code == 0) {
        XML_SetUserData(l.parser, &l);
        XML_SetElementHandler(l.parser, on_start, on_end);
        XML_SetCharacterDataHandler(l.parser, on_text);
        XML_SetStartDoctypeDeclHandler(l.parser, on_doctype);
        code = feed(&l, f);
    }
    if (l.parser)
        XML_ParserFree(l.parser);
    ib_buf_fini(&l.text);
    fclose(f);
    if (code == 0)
        *root = l.root;
    return code;
}
