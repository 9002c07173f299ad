/* A calculator for whole numbers, with variables: what a line of text is worth. */
#ifndef CALC_H
#define CALC_H

enum error { FINE, UNEXPECTED, UNKNOWN_NAME, DIVIDED_BY_ZERO, TOO_LARGE, TOO_DEEP, TOO_MANY_NAMES };

#define MOST_NAMES 8
#define LONGEST_NAME 11
#define DEEPEST 20

struct variable {
    char name[LONGEST_NAME + 1];
    long value;
};

struct calc {
    struct variable variables[MOST_NAMES];
    int count;
};

/* Sets *result to what the text is worth: `3 + 4 * (2 - x)`, or `x = 5`, which sets a variable as well. */
enum error calc_evaluate(struct calc *calc, const char *text, long *result);

/* Writes a number in a base from 2 to 16 and returns its length; nothing is written where it does not fit. */
int calc_format(long value, int base, char *to, int room);

#endif
