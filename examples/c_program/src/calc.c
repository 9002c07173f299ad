#include "calc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 1000000000000L

struct reader {
    struct calc *calc;
    const char *at;
    int depth;
    enum error error;
};

static long expression(struct reader *reader, int least);

static long fail(struct reader *reader, enum error error)
{
    if (reader->error == FINE)
        reader->error = error;
    return 0;
}

static void skip_blanks(struct reader *reader)
{
    while (isspace((unsigned char)*reader->at) || *reader->at == '#') {
        if (*reader->at == '#')
            reader->at += strlen(reader->at);
        else
            reader->at++;
    }
}

static int take(struct reader *reader, char wanted)
{
    skip_blanks(reader);
    if (*reader->at != wanted)
        return 0;
    reader->at++;
    return 1;
}

static long checked(struct reader *reader, long value)
{
    if (value > LIMIT || value < -LIMIT)
        return fail(reader, TOO_LARGE);
    return value;
}

static long product(struct reader *reader, long left, long right)
{
    if (left != 0 && labs(right) > LIMIT / labs(left))
        return fail(reader, TOO_LARGE);
    return left * right;
}

static int digit(char sign)
{
    if (sign >= '0' && sign <= '9')
        return sign - '0';
    if (sign >= 'a' && sign <= 'f')
        return sign - 'a' + 10;
    return 99;
}

static long number(struct reader *reader)
{
    int base = 10;
    long value = 0;

    if (reader->at[0] == '0' && reader->at[1] == 'x') {
        base = 16;
        reader->at += 2;
        if (digit(*reader->at) >= base)
            return fail(reader, UNEXPECTED);
    }
    while (digit(*reader->at) < base) {
        value = checked(reader, value * base + digit(*reader->at));
        reader->at++;
    }
    return value;
}

static int name(struct reader *reader, char *to)
{
    int length = 0;

    while (isalnum((unsigned char)*reader->at) || *reader->at == '_') {
        if (length < LONGEST_NAME)
            to[length++] = *reader->at;
        reader->at++;
    }
    to[length] = '\0';
    return length;
}

static struct variable *find(struct calc *calc, const char *wanted)
{
    for (int i = 0; i < calc->count; i++) {
        if (strcmp(calc->variables[i].name, wanted) == 0)
            return &calc->variables[i];
    }
    return NULL;
}

static enum error set(struct calc *calc, const char *called, long value)
{
    struct variable *known = find(calc, called);

    if (known == NULL) {
        if (calc->count >= MOST_NAMES)
            return TOO_MANY_NAMES;
        known = &calc->variables[calc->count++];
        strcpy(known->name, called);
    }
    known->value = value;
    return FINE;
}

static long power(struct reader *reader, long base, long times)
{
    long value = 1;

    if (base == 1 || base == -1)
        return times % 2 == 0 ? 1 : base;
    if (times < 0)
        return base == 0 ? fail(reader, DIVIDED_BY_ZERO) : 0;
    while (times > 0 && value != 0 && reader->error == FINE) {
        value = product(reader, value, base);
        times--;
    }
    return value;
}

static long primary(struct reader *reader)
{
    char called[LONGEST_NAME + 1];
    long value;

    skip_blanks(reader);
    if (isdigit((unsigned char)*reader->at))
        return number(reader);
    if (isalpha((unsigned char)*reader->at)) {
        name(reader, called);
        struct variable *found = find(reader->calc, called);
        return found ? found->value : fail(reader, UNKNOWN_NAME);
    }
    if (take(reader, '-'))
        return -expression(reader, 4);
    if (!take(reader, '('))
        return fail(reader, UNEXPECTED);
    if (++reader->depth > DEEPEST)
        return fail(reader, TOO_DEEP);
    value = expression(reader, 1);
    reader->depth--;
    if (!take(reader, ')'))
        return fail(reader, UNEXPECTED);
    return value;
}

static int rank(char sign)
{
    switch (sign) {
    case '+':
    case '-':
        return 1;
    case '*':
    case '/':
    case '%':
        return 2;
    case '^':
        return 4;
    default:
        return 0;
    }
}

static long apply(struct reader *reader, char sign, long left, long right)
{
    switch (sign) {
    case '+':
        return checked(reader, left + right);
    case '-':
        return checked(reader, left - right);
    case '*':
        return product(reader, left, right);
    case '^':
        return power(reader, left, right);
    default:
        if (right == 0)
            return fail(reader, DIVIDED_BY_ZERO);
        return sign == '/' ? left / right : left % right;
    }
}

static long expression(struct reader *reader, int least)
{
    long value = primary(reader);

    while (reader->error == FINE) {
        skip_blanks(reader);
        char sign = *reader->at;
        int own = rank(sign);
        if (own < least || own == 0)
            break;
        reader->at++;
        long right = expression(reader, sign == '^' ? own : own + 1);
        value = apply(reader, sign, value, right);
    }
    return value;
}

enum error calc_evaluate(struct calc *calc, const char *text, long *result)
{
    struct reader reader = {calc, text, 0, FINE};
    char called[LONGEST_NAME + 1] = "";

    skip_blanks(&reader);
    if (isalpha((unsigned char)*reader.at)) {
        name(&reader, called);
        skip_blanks(&reader);
        if (*reader.at != '=') {
            reader.at = text;
            called[0] = '\0';
        } else {
            reader.at++;
        }
    }
    long value = expression(&reader, 1);
    skip_blanks(&reader);
    if (reader.error == FINE && *reader.at != '\0')
        fail(&reader, UNEXPECTED);
    if (reader.error == FINE && called[0] != '\0')
        reader.error = set(calc, called, value);
    if (reader.error == FINE)
        *result = value;
    return reader.error;
}

int calc_format(long value, int base, char *to, int room)
{
    char reversed[70];
    int length = 0;
    int negative = value < 0;
    unsigned long rest = negative ? -(unsigned long)value : (unsigned long)value;

    do {
        reversed[length++] = "0123456789abcdef"[rest % base];
        rest /= base;
    } while (rest > 0);
    if (negative)
        reversed[length++] = '-';
    if (length >= room)
        return length;
    for (int i = 0; i < length; i++)
        to[i] = reversed[length - 1 - i];
    to[length] = '\0';
    return length;
}
