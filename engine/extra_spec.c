#include "engine/extra_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 256

/* ---- operators ----------------------------------------------------------- */

typedef bool compare_fn(int c);
static bool is_eq(int c)
{
    return c == 0;
}
static bool is_ne(int c)
{
    return c != 0;
}
static bool is_ge(int c)
{
    return c >= 0;
}
static bool is_le(int c)
{
    return c <= 0;
}
static bool is_gt(int c)
{
    return c > 0;
}
static bool is_lt(int c)
{
    return c < 0;
}

/* Value against operand.  "=" is "at least", as in nova. */
static const struct {
    const char *word;
    bool text;
    compare_fn *fn;
} operators[] = {
    { "=", false, is_ge },  { "==", false, is_eq }, { "!=", false, is_ne },
    { ">=", false, is_ge }, { "<=", false, is_le }, { "s==", true, is_eq },
    { "s!=", true, is_ne }, { "s>=", true, is_ge }, { "s>", true, is_gt },
    { "s<=", true, is_le }, { "s<", true, is_lt },
};

static bool number(const char *text, double *n)
{
    char *end;
    *n = strtod(text, &end);
    return end != text && !*end;
}

static bool compares(size_t op, const char *value, const char *operand)
{
    double a, b;
    if (operators[op].text)
        return operators[op].fn(strcmp(value, operand));
    return number(value, &a) && number(operand, &b) &&
           operators[op].fn((a > b) - (a < b));
}

/* The next word of *rest into `word`; false at the end. */
static bool next_word(const char **rest, char word[WORD_MAX])
{
    *rest += strspn(*rest, " ");
    size_t n = strcspn(*rest, " ");
    snprintf(word, WORD_MAX, "%.*s", (int)n, *rest);
    *rest += n;
    return n > 0;
}

/* "<or> a <or> b": is it one of them? */
static bool one_of(const char *rest, const char *value)
{
    char word[WORD_MAX];
    while (next_word(&rest, word))
        if (strcmp(word, "<or>") != 0 && strcmp(word, value) == 0)
            return true;
    return false;
}

static bool has_all(const char *rest, const char *value)
{
    char word[WORD_MAX];
    while (next_word(&rest, word))
        if (!strstr(value, word))
            return false;
    return true;
}

bool extra_spec_meets(const char *wanted, const char *value)
{
    char word[WORD_MAX], operand[WORD_MAX];
    const char *rest = wanted;
    if (!next_word(&rest, word))
        return !*value;
    if (strcmp(word, "<or>") == 0)
        return one_of(rest, value);
    if (strcmp(word, "<all-in>") == 0)
        return has_all(rest, value);
    bool two = next_word(&rest, operand);
    if (two && strcmp(word, "<in>") == 0)
        return strstr(value, operand) != NULL;
    for (size_t i = 0; two && i < sizeof(operators) / sizeof(*operators); i++)
        if (strcmp(word, operators[i].word) == 0)
            return compares(i, value, operand);
    return strcmp(wanted, value) == 0;
}
