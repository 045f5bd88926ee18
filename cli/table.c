#include "cli/table.h"

#include "common/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_cell(struct table *t, char *text)
{
    t->cells = xrealloc(t->cells, (t->n + 1) * sizeof(*t->cells));
    t->cells[t->n++] = text;
}

void table_head(struct table *t, const char *first, ...)
{
    va_list args;
    *t = (struct table){ 0 };
    va_start(args, first);
    for (const char *head = first; head; head = va_arg(args, const char *))
        table_column(t, head);
    va_end(args);
}

void table_column(struct table *t, const char *head)
{
    add_cell(t, xstrdup(head));
    t->columns++;
}

void table_add(struct table *t, const char *fmt, ...)
{
    char *text;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        text = xstrdup("");
    va_end(args);
    add_cell(t, text);
}

/* "1.5 of 3.5", "12 %", "-"; an address is none. */
static bool is_number(const char *s)
{
    int dots = 0;
    for (const char *p = s; *p; p++)
        dots += *p == '.';
    return dots <= 2 && strspn(s, "0123456789.,-%+of ") == strlen(s);
}

/* Characters, not bytes. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += (*s & 0xC0) != 0x80;
    return n;
}

static void measure(const struct table *t, int width[], bool right[])
{
    for (size_t k = 0; k < t->columns; k++) {
        width[k] = 0;
        right[k] = t->n > t->columns;
        for (size_t i = k; i < t->n; i += t->columns) {
            int w = width_of(t->cells[i]);
            width[k] = w > width[k] ? w : width[k];
            right[k] &=
                i < t->columns || !*t->cells[i] || is_number(t->cells[i]);
        }
    }
}

static void print_row(const struct table *t, size_t from, const int width[],
                      const bool right[])
{
    for (size_t k = 0; k < t->columns; k++) {
        const char *cell = from + k < t->n ? t->cells[from + k] : "";
        bool last = k + 1 == t->columns;
        int pad = last && !*cell ? 0 : width[k] - width_of(cell);
        printf("%*s%s%*s%s", right[k] ? pad : 0, "", cell,
               right[k] || last ? 0 : pad, "", last ? "" : "  ");
    }
    putchar('\n');
}

void table_print(const struct table *t)
{
    int width[TABLE_COLUMNS];
    bool right[TABLE_COLUMNS];
    measure(t, width, right);
    for (size_t i = 0; i < t->n; i += t->columns) {
        fputs(i ? "" : ink(INK_BOLD), stdout);
        print_row(t, i, width, right);
        fputs(i ? "" : ink(INK_PLAIN), stdout);
    }
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){ 0 };
}

const char *ink(enum ink which)
{
    static const char *const codes[] = { "\033[0m", "\033[1m", "\033[32m",
                                         "\033[31m", "\033[2m" };
    return isatty(STDOUT_FILENO) && !getenv("NO_COLOR") ? codes[which] : "";
}
