/* The native twin of pieces.py, which says what is joined and how: the lengths first, then all of it at once. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

typedef unsigned char byte;

enum { MOST_PIECES = 32, MOST_DIGITS = 20 }; /* of a line, and of 64 bits with their sign */

/* How a byte stands in a JSON string: as itself (1), behind a backslash (2), as \u and four digits (6). */
static byte width[256];
static const char HEX[] = "0123456789abcdef", SHORT[] = "\"\\\b\f\n\r\t", LETTERS[] = "\"\\bfnrt";

static void fill_widths(void) {
    for (int c = 0; c < 256; c++) width[c] = c >= 0x20 && c <= 0x7e ? 1 : 6;
    for (const char *at = SHORT; *at; at++) width[(byte)*at] = 2;
}

static Py_ssize_t escaped_size(const byte *text, Py_ssize_t size) {
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; i < size; i++) total += width[text[i]];
    return total;
}

static char *escape(char *at, const byte *text, Py_ssize_t size) {
    for (Py_ssize_t i = 0; i < size; i++) {
        byte c = text[i];
        if (width[c] == 1) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '\\';
        if (width[c] == 2) {
            *at++ = LETTERS[strchr(SHORT, c) - SHORT];
        } else {
            memcpy(at, "u00", 3);
            at[3] = HEX[c >> 4];
            at[4] = HEX[c & 15];
            at += 5;
        }
    }
    return at;
}

/* Writes a number's digits up to `end`; where they begin, or NULL when it is none or too large. */
static char *digits_of(PyObject *number, char *end) {
    long long value = PyLong_AsLongLong(number);
    if (value == -1 && PyErr_Occurred()) return NULL;
    unsigned long long left = value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
    do {
        *--end = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0) *--end = '-';
    return end;
}

static PyObject *join(PyObject *Py_UNUSED(module), PyObject *const *pieces, Py_ssize_t count) {
    const char *texts[MOST_PIECES];
    Py_ssize_t sizes[MOST_PIECES], widths[MOST_PIECES], total = 0;
    char digits[MOST_PIECES * MOST_DIGITS], *free_to = digits + sizeof digits;
    if (count > MOST_PIECES) return PyErr_Format(PyExc_ValueError, "more than %d pieces", MOST_PIECES);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *piece = pieces[i];
        if (PyUnicode_Check(piece)) {
            if (!PyUnicode_IS_ASCII(piece)) return PyErr_Format(PyExc_ValueError, "%R is not ASCII", piece);
            texts[i] = PyUnicode_DATA(piece);
            widths[i] = sizes[i] = PyUnicode_GET_LENGTH(piece);
        } else if (PyBytes_Check(piece)) {
            texts[i] = PyBytes_AS_STRING(piece);
            sizes[i] = PyBytes_GET_SIZE(piece);
            widths[i] = escaped_size((const byte *)texts[i], sizes[i]);
        } else {
            char *from = digits_of(piece, free_to);
            if (from == NULL) return NULL;
            texts[i] = from;
            widths[i] = sizes[i] = free_to - from;
            free_to = from;
        }
        total += widths[i];
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, total);
    if (made == NULL) return NULL;
    char *at = PyBytes_AS_STRING(made);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (widths[i] != sizes[i]) {
            at = escape(at, (const byte *)texts[i], sizes[i]);
        } else {
            memcpy(at, texts[i], (size_t)sizes[i]);
            at += sizes[i];
        }
    }
    return made;
}

static PyMethodDef functions[] = {
    {"join", (PyCFunction)(void (*)(void))join, METH_FASTCALL, "join(*pieces): see pieces.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "gateway.core._pieces", .m_size = -1, .m_methods = functions};

PyMODINIT_FUNC PyInit__pieces(void) {
    fill_widths();
    return PyModule_Create(&module);
}
