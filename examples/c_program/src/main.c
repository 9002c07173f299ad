#include <stdio.h>
#include <string.h>

#include "calc.h"

static const char *const MESSAGES[] = {
    "", "unexpected", "no such name", "division by zero", "too large", "too deep", "too many names",
};

/* Reads lines and prints what each is worth: `calc` in base 10, `calc -x` in base 16. */
int main(int count, char **arguments)
{
    struct calc calc = {0};
    char line[400], shown[80];
    int base = count > 1 && strcmp(arguments[1], "-x") == 0 ? 16 : 10;
    long value;

    while (fgets(line, sizeof line, stdin)) {
        enum error error = calc_evaluate(&calc, line, &value);
        if (error != FINE) {
            printf("error: %s\n", MESSAGES[error]);
        } else {
            calc_format(value, base, shown, sizeof shown);
            puts(shown);
        }
    }
    return 0;
}
