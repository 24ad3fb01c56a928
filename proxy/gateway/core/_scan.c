/* One pass over a head: the native twin of scan.py, which says what is read and how. It answers only for heads in
 * which everything is as usual, and None for any other: those, and every error, are the reference's. So it can
 * refuse nothing, and accepts nothing that it has not looked at byte by byte.
 *
 * Bounds: a bytes object ends with a NUL beyond its length, which is of no class of bytes below: a loop over a
 * class ends there at the latest.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

typedef unsigned char byte;

enum { READ = 1, DROPPED = 2, LOOSE = 4, SINGLE = 8 };
enum { SLOTS = 256, MOST_NAMES = 64, MOST_PREFIXES = 8, MOST_SPANS = 64 };
enum { CHUNKED = -1, UNTIL_CLOSE = -2 };
typedef enum { OTHER, HOST, LENGTH, ENCODING, CONNECTION, REQUEST_ID } Kind;

typedef struct {
    PyObject *name;
    const byte *text;
    Py_ssize_t length;
    int flags;
    Kind kind;
    int next; /* of the same slot, plus one */
} Name;

typedef struct {
    PyObject_HEAD
    Name names[MOST_NAMES];
    Name prefixes[MOST_PREFIXES];
    int count, prefix_count;
    byte slots[SLOTS]; /* the first name's number plus one */
} Scanner;

static byte token[256], target_byte[256], authority[256], lower[256], odd_byte[256];
static PyObject *empty, *methods[7];
static const char *const METHODS[7] = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"};

static void fill_tables(void) {
    const char *const marks = "!#$%&'*+-.^_`|~", *const outside = "-._~%!$&'()*+,;=";
    for (int c = 0; c < 256; c++) {
        int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
        token[c] = letter || digit || (c && strchr(marks, c));
        authority[c] = letter || digit || (c && strchr(outside, c));
        target_byte[c] = c == 0x21 || c == 0x22 || (c >= 0x24 && c <= 0x7e) || c >= 0x80;
        odd_byte[c] = c == '%' || c == '\\' || c >= 0x80;
        lower[c] = (byte)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
}

static int same(const byte *text, const byte *wanted, Py_ssize_t length, int loose) {
    for (Py_ssize_t i = 0; i < length; i++)
        if (lower[text[i]] != wanted[i] && !(loose && wanted[i] == '-' && text[i] == '_')) return 0;
    return 1;
}

static int is(const byte *text, Py_ssize_t length, const char *wanted) {
    return length == (Py_ssize_t)strlen(wanted) && same(text, (const byte *)wanted, length, 0);
}

static unsigned slot_of(const byte *name, Py_ssize_t length) {
    return ((unsigned)length * 37u + lower[name[0]] * 11u + lower[name[length - 1]] * 5u) % SLOTS;
}

static const Name *find(const Scanner *self, const byte *name, Py_ssize_t length) {
    for (int at = self->slots[slot_of(name, length)]; at; at = self->names[at - 1].next) {
        const Name *one = &self->names[at - 1];
        if (one->length == length && same(name, one->text, length, one->flags & LOOSE)) return one;
    }
    for (int i = 0; i < self->prefix_count; i++) {
        const Name *one = &self->prefixes[i];
        if (lower[name[0]] == one->text[0] && one->length <= length && same(name, one->text, one->length, 1))
            return one;
    }
    return NULL;
}

/* Whether all may stand in a field's value or a reason phrase: tab, printable ASCII, beyond ASCII. */
static int is_text(const byte *text, Py_ssize_t length) {
    byte bad = 0;
    for (Py_ssize_t i = 0; i < length; i++)
        bad |= (byte)(((text[i] < 0x20) & (text[i] != '\t')) | (text[i] == 0x7f));
    return !bad;
}

/* Fields as they stand from the first line's CR on, and what was read of them. */
typedef struct {
    const byte *seen[REQUEST_ID + 1]; /* values by kind */
    Py_ssize_t size[REQUEST_ID + 1];
    const byte *spans[MOST_SPANS][2]; /* of what is kept */
    int span_count;
    Py_ssize_t kept, length;
    const byte *end; /* behind the blank line */
    int keep_alive;  /* -1: not said */
    PyObject *rest;
} Fields;

enum { FAILED = -1, UNUSUAL = 0, FINE = 1 };

static int add(Fields *fields, PyObject *key, const byte *value, Py_ssize_t size, int single) {
    if (fields->rest == NULL && (fields->rest = PyDict_New()) == NULL) return FAILED;
    PyObject *old = PyDict_GetItemWithError(fields->rest, key), *made;
    if (old == NULL) {
        if (PyErr_Occurred()) return FAILED;
        made = PyBytes_FromStringAndSize((const char *)value, size);
    } else {
        if (single) return UNUSUAL;
        made = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(old) + 2 + size);
        if (made != NULL) {
            char *at = PyBytes_AS_STRING(made);
            memcpy(at, PyBytes_AS_STRING(old), PyBytes_GET_SIZE(old));
            memcpy(at + PyBytes_GET_SIZE(old), ", ", 2);
            memcpy(at + PyBytes_GET_SIZE(old) + 2, value, size);
        }
    }
    if (made == NULL) return FAILED;
    int failed = PyDict_SetItem(fields->rest, key, made);
    Py_DECREF(made);
    return failed ? FAILED : FINE;
}

static int take(Fields *fields, const Name *name, const byte *raw, Py_ssize_t raw_size, const byte *value,
                Py_ssize_t size) {
    if (name->kind == CONNECTION && fields->keep_alive < 0 && fields->seen[CONNECTION] == NULL) {
        int keep = is(value, size, "keep-alive");
        if (keep || is(value, size, "close")) {
            fields->seen[CONNECTION] = value;
            fields->keep_alive = keep;
            return FINE;
        }
    }
    if (name->kind != OTHER) {
        if (fields->seen[name->kind] != NULL) return UNUSUAL;
        fields->seen[name->kind] = value;
        fields->size[name->kind] = size;
        if (name->kind != CONNECTION) return FINE;
    }
    if (!(name->flags & LOOSE)) return add(fields, name->name, value, size, name->flags & SINGLE);
    PyObject *key = PyBytes_FromStringAndSize((const char *)raw, raw_size);
    if (key == NULL) return FAILED;
    char *text = PyBytes_AS_STRING(key);
    for (Py_ssize_t i = 0; i < raw_size; i++) text[i] = (char)lower[(byte)text[i]];
    int done = add(fields, key, value, size, 0);
    Py_DECREF(key);
    return done;
}

static int keep(Fields *fields, const byte *from, const byte *to) {
    if (from == to) return FINE;
    if (fields->span_count == MOST_SPANS) return UNUSUAL;
    fields->spans[fields->span_count][0] = from;
    fields->spans[fields->span_count++][1] = to;
    fields->kept += to - from;
    return FINE;
}

/* Read from the first line's CR to the blank line; what has come ends at `end`, and perhaps before that. */
static int read_fields(const Scanner *self, Fields *fields, const byte *first, const byte *end, Py_ssize_t most) {
    const byte *from = first, *at = first + 2;
    Py_ssize_t count = 0;
    memset(fields->seen, 0, sizeof fields->seen);
    fields->span_count = 0;
    fields->kept = 0;
    fields->keep_alive = -1;
    fields->rest = NULL;
    while (*at != '\r') {
        const byte *name = at;
        while (token[*at]) at++;
        Py_ssize_t size = at - name;
        if (size == 0 || *at != ':' || ++count > most) return UNUSUAL;
        const byte *value = ++at, *stop = memchr(at, '\r', (size_t)(end - at));
        if (stop == NULL || stop[1] != '\n' || !is_text(value, stop - value)) return UNUSUAL;
        at = stop + 2;
        const Name *known = find(self, name, size);
        if (known == NULL) continue;
        if (known->flags & READ) {
            const byte *last = stop;
            while (value < last && (*value == ' ' || *value == '\t')) value++;
            while (last > value && (last[-1] == ' ' || last[-1] == '\t')) last--;
            int done = take(fields, known, name, size, value, last - value);
            if (done != FINE) return done;
        }
        if (known->flags & DROPPED) {
            if (!keep(fields, from, name - 2)) return UNUSUAL;
            from = stop;
        }
    }
    if (at[1] != '\n') return UNUSUAL;
    fields->end = at + 2;
    return keep(fields, from, at - 2);
}

/* Framing, for a head of this minor version. */
static int read_framing(Fields *fields, int minor, Py_ssize_t absent) {
    const byte *text = fields->seen[LENGTH], *encoding = fields->seen[ENCODING];
    fields->length = absent;
    if (encoding != NULL) {
        if (text != NULL || minor == 0 || !is(encoding, fields->size[ENCODING], "chunked")) return UNUSUAL;
        fields->length = CHUNKED;
    } else if (text != NULL) {
        Py_ssize_t size = fields->size[LENGTH], number = 0;
        if (size < 1 || size > 18) return UNUSUAL;
        for (Py_ssize_t i = 0; i < size; i++) {
            if (text[i] < '0' || text[i] > '9') return UNUSUAL;
            number = number * 10 + (text[i] - '0');
        }
        fields->length = number;
    }
    return FINE;
}

static int is_authority(const byte *text, Py_ssize_t size) {
    const byte *at = text, *end = text + size;
    if (size == 0) return 1;
    if (*at == '[') {
        const byte *start = ++at;
        while (at < end && ((lower[*at] >= 'a' && lower[*at] <= 'f') || (*at >= '0' && *at <= '9') || *at == ':' ||
                            *at == '.'))
            at++;
        if (at == start || at == end || *at++ != ']') return 0;
    } else {
        while (at < end && authority[*at]) at++;
        if (at == text) return 0;
    }
    if (at == end) return 1;
    if (*at++ != ':' || end - at > 5) return 0;
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at == end;
}

static PyObject *bytes_of(const byte *text, Py_ssize_t size) {
    return size ? PyBytes_FromStringAndSize((const char *)text, size) : Py_NewRef(empty);
}

/* `before` and `after` what is kept, as one object. */
static PyObject *join(const Fields *fields, const char *before, Py_ssize_t size, const char *after, Py_ssize_t more) {
    PyObject *made = PyBytes_FromStringAndSize(NULL, size + fields->kept + more);
    if (made == NULL) return NULL;
    char *at = PyBytes_AS_STRING(made);
    memcpy(at, before, (size_t)size);
    at += size;
    for (int i = 0; i < fields->span_count; i++) {
        size_t length = (size_t)(fields->spans[i][1] - fields->spans[i][0]);
        memcpy(at, fields->spans[i][0], length);
        at += length;
    }
    memcpy(at, after, (size_t)more);
    return made;
}

static PyObject *method_of(const byte *text, Py_ssize_t size) {
    for (int i = 0; i < 7; i++)
        if (PyBytes_GET_SIZE(methods[i]) == size && !memcmp(PyBytes_AS_STRING(methods[i]), text, (size_t)size))
            return Py_NewRef(methods[i]);
    return PyBytes_FromStringAndSize((const char *)text, size);
}

static int arguments(PyObject *const *args, Py_ssize_t given, Py_ssize_t wanted, Py_ssize_t *numbers) {
    if (given != wanted || !PyBytes_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "give bytes, and the bounds of a head");
        return 0;
    }
    for (Py_ssize_t i = 1; i < wanted; i++) {
        numbers[i - 1] = PyLong_AsSsize_t(args[i]);
        if (numbers[i - 1] == -1 && PyErr_Occurred()) return 0;
    }
    return 1;
}

/* A tuple in which nothing is missing: what could not be made. */
static PyObject *whole(PyObject *made) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(made); i++)
        if (PyTuple_GET_ITEM(made, i) == NULL) {
            Py_DECREF(made);
            return NULL;
        }
    return made;
}

static PyObject *give_up(Fields *fields, int done) {
    if (fields != NULL) Py_CLEAR(fields->rest);
    if (done == FAILED) return NULL;
    Py_RETURN_NONE;
}

static PyObject *scan_request(PyObject *op, PyObject *const *args, Py_ssize_t given) {
    const Scanner *self = (const Scanner *)op;
    Py_ssize_t bounds[3]; /* bytes of a head and of its target, fields */
    if (!arguments(args, given, 4, bounds)) return NULL;
    const byte *head = (const byte *)PyBytes_AS_STRING(args[0]), *end = head + PyBytes_GET_SIZE(args[0]), *at = head;
    while (token[*at]) at++;
    Py_ssize_t method_size = at - head;
    if (method_size < 1 || method_size > 32 || *at != ' ') return give_up(NULL, UNUSUAL);
    const byte *target = ++at;
    int plain = *target == '/';
    for (; target_byte[*at]; at++) plain &= !odd_byte[*at] && !(*at == '/' && at[1] == '.');
    Py_ssize_t target_size = at - target;
    if (target_size < 1 || target_size > bounds[1] || end - at < 13 || memcmp(at, " HTTP/1.", 8))
        return give_up(NULL, UNUSUAL);
    int minor = at[8] - '0';
    if (minor < 0 || minor > 1 || at[9] != '\r' || at[10] != '\n') return give_up(NULL, UNUSUAL);
    const byte *first = at + 9;
    Fields fields;
    int done = read_fields(self, &fields, first, end, bounds[2]);
    if (done == FINE) done = read_framing(&fields, minor, 0);
    const byte *host = fields.seen[HOST];
    if (done != FINE || fields.end - head > bounds[0] || (host == NULL && minor) || (host != NULL && !is_authority(host, fields.size[HOST])))
        return give_up(&fields, done);
    PyObject *made = PyTuple_New(11);
    if (made == NULL) return give_up(&fields, FAILED);
    PyTuple_SET_ITEM(made, 0, PyLong_FromSsize_t(fields.end - head));
    PyTuple_SET_ITEM(made, 1, method_of(head, method_size));
    PyTuple_SET_ITEM(made, 2, bytes_of(target, target_size));
    PyTuple_SET_ITEM(made, 3, PyLong_FromLong(minor));
    PyTuple_SET_ITEM(made, 4, join(&fields, "", 0, "", 0));
    PyTuple_SET_ITEM(made, 5, bytes_of(host, host == NULL ? 0 : fields.size[HOST]));
    PyTuple_SET_ITEM(made, 6, PyLong_FromSsize_t(fields.length));
    PyTuple_SET_ITEM(made, 7, PyBool_FromLong(fields.keep_alive < 0 ? minor : fields.keep_alive));
    PyTuple_SET_ITEM(made, 8, bytes_of(fields.seen[REQUEST_ID], fields.seen[REQUEST_ID] ? fields.size[REQUEST_ID] : 0));
    PyTuple_SET_ITEM(made, 9, PyBool_FromLong(plain));
    PyTuple_SET_ITEM(made, 10, fields.rest == NULL ? Py_NewRef(Py_None) : fields.rest);
    return whole(made);
}

static PyObject *scan_response(PyObject *op, PyObject *const *args, Py_ssize_t given) {
    const Scanner *self = (const Scanner *)op;
    Py_ssize_t bounds[2]; /* bytes of a head, fields */
    if (!arguments(args, given, 3, bounds)) return NULL;
    const byte *head = (const byte *)PyBytes_AS_STRING(args[0]), *end = head + PyBytes_GET_SIZE(args[0]);
    if (end - head < 16 || memcmp(head, "HTTP/1.", 7) || head[8] != ' ') return give_up(NULL, UNUSUAL);
    int minor = head[7] - '0', status = 0;
    if (minor < 0 || minor > 1 || head[9] == '0') return give_up(NULL, UNUSUAL);
    for (int i = 9; i < 12; i++) {
        if (head[i] < '0' || head[i] > '9') return give_up(NULL, UNUSUAL);
        status = status * 10 + (head[i] - '0');
    }
    const byte *first = memchr(head + 12, '\r', (size_t)(end - head - 12));
    if (first == NULL || first[1] != '\n' || (first != head + 12 && head[12] != ' ') ||
        !is_text(head + 12, first - head - 12))
        return give_up(NULL, UNUSUAL);
    Fields fields;
    int done = read_fields(self, &fields, first, end, bounds[1]);
    if (done == FINE) done = read_framing(&fields, minor, UNTIL_CLOSE);
    if (done != FINE || fields.end - head > bounds[0]) return give_up(&fields, done);
    PyObject *made = PyTuple_New(7);
    if (made == NULL) return give_up(&fields, FAILED);
    char line[8] = "HTTP/1.1";
    PyObject *onward;
    if (minor && fields.kept == fields.end - 4 - first) {
        onward = Py_NewRef(args[0]);
    } else { /* the status line is the first thing that is kept */
        if (fields.span_count == MOST_SPANS) {
            Py_DECREF(made);
            return give_up(&fields, UNUSUAL);
        }
        memmove(fields.spans[1], fields.spans[0], sizeof fields.spans[0] * (size_t)fields.span_count);
        fields.spans[0][0] = head + 8;
        fields.spans[0][1] = first;
        fields.span_count++;
        fields.kept += first - head - 8;
        onward = join(&fields, line, 8, (const char *)fields.end - 4, end - fields.end + 4);
    }
    PyTuple_SET_ITEM(made, 0, PyLong_FromSsize_t(fields.end - head));
    PyTuple_SET_ITEM(made, 1, PyLong_FromLong(status));
    PyTuple_SET_ITEM(made, 2, PyLong_FromLong(minor));
    PyTuple_SET_ITEM(made, 3, PyLong_FromSsize_t(fields.length));
    PyTuple_SET_ITEM(made, 4, PyBool_FromLong(fields.keep_alive < 0 ? minor : fields.keep_alive));
    PyTuple_SET_ITEM(made, 5, onward);
    PyTuple_SET_ITEM(made, 6, fields.rest == NULL ? Py_NewRef(Py_None) : fields.rest);
    return whole(made);
}

static Kind kind_of(const byte *name, Py_ssize_t size) {
    static const struct {
        const char *name;
        Kind kind;
    } kinds[] = {{"host", HOST},
                 {"content-length", LENGTH},
                 {"transfer-encoding", ENCODING},
                 {"connection", CONNECTION},
                 {"x-request-id", REQUEST_ID}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (is(name, size, kinds[i].name)) return kinds[i].kind;
    return OTHER;
}

/* Scanner({name: flags}, (prefix, ...)): lower-case names; prefixes are read, dropped and loose. */
static int scanner_init(PyObject *op, PyObject *args, PyObject *Py_UNUSED(keywords)) {
    Scanner *self = (Scanner *)op;
    PyObject *names, *prefixes, *name, *flags;
    Py_ssize_t at = 0;
    if (!PyArg_ParseTuple(args, "O!O!", &PyDict_Type, &names, &PyTuple_Type, &prefixes)) return -1;
    if (self->count || PyDict_GET_SIZE(names) > MOST_NAMES || PyTuple_GET_SIZE(prefixes) > MOST_PREFIXES) {
        PyErr_SetString(PyExc_ValueError, "more names than a scanner holds, or given twice");
        return -1;
    }
    while (PyDict_Next(names, &at, &name, &flags)) {
        if (!PyBytes_CheckExact(name) || PyBytes_GET_SIZE(name) == 0 || !PyLong_Check(flags)) {
            PyErr_SetString(PyExc_TypeError, "names are bytes, flags are numbers");
            return -1;
        }
        const byte *text = (const byte *)PyBytes_AS_STRING(name);
        Name *one = &self->names[self->count];
        byte *slot = &self->slots[slot_of(text, PyBytes_GET_SIZE(name))];
        one->name = Py_NewRef(name);
        one->text = text;
        one->length = PyBytes_GET_SIZE(name);
        one->flags = (int)PyLong_AsLong(flags);
        one->kind = kind_of(text, one->length);
        one->next = *slot;
        *slot = (byte)++self->count;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(prefixes); i++) {
        name = PyTuple_GET_ITEM(prefixes, i);
        if (!PyBytes_CheckExact(name) || PyBytes_GET_SIZE(name) == 0) {
            PyErr_SetString(PyExc_TypeError, "prefixes are bytes");
            return -1;
        }
        Name *one = &self->prefixes[self->prefix_count++];
        one->name = Py_NewRef(name);
        one->text = (const byte *)PyBytes_AS_STRING(name);
        one->length = PyBytes_GET_SIZE(name);
        one->flags = READ | DROPPED | LOOSE;
    }
    return 0;
}

static void scanner_free(PyObject *op) {
    Scanner *self = (Scanner *)op;
    for (int i = 0; i < self->count; i++) Py_DECREF(self->names[i].name);
    for (int i = 0; i < self->prefix_count; i++) Py_DECREF(self->prefixes[i].name);
    Py_TYPE(op)->tp_free(op);
}

static PyMethodDef scanner_methods[] = {
    {"request", (PyCFunction)(void (*)(void))scan_request, METH_FASTCALL,
     "request(data, head_bytes, target_bytes, head_fields): what scan.py's reference says, or None."},
    {"response", (PyCFunction)(void (*)(void))scan_response, METH_FASTCALL,
     "response(data, head_bytes, head_fields): what scan.py's reference says, or None."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject scanner_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "gateway.core._scan.Scanner",
    .tp_doc = "Reads heads in one pass.",
    .tp_basicsize = sizeof(Scanner),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = scanner_init,
    .tp_dealloc = scanner_free,
    .tp_methods = scanner_methods,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "gateway.core._scan", .m_size = -1};

PyMODINIT_FUNC PyInit__scan(void) {
    fill_tables();
    if ((empty = PyBytes_FromStringAndSize(NULL, 0)) == NULL || PyType_Ready(&scanner_type) < 0) return NULL;
    for (int i = 0; i < 7; i++)
        if ((methods[i] = PyBytes_FromString(METHODS[i])) == NULL) return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && PyModule_AddObjectRef(made, "Scanner", (PyObject *)&scanner_type) < 0) Py_CLEAR(made);
    return made;
}
