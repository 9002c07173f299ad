/* Tests that no candidate is scored by: they say whether a repair is one. */
#include "../tests/check.h"

/* Text at random and what it is worth, by a second calculator: one that makes text of a tree instead of reading it. */

static unsigned long state;

static int draw(int below)
{
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (int)((state >> 33) % (unsigned long)below);
}

struct made {
    char text[4000];
    long value;
    int rank, is_fine;
};

static long raised(long base, long times)
{
    long value = 1;
    while (times-- > 0)
        value *= base;
    return value;
}

static void make(struct made *to, int depth)
{
    static const char SIGNS[] = "+-*/%^";
    static const int RANKS[] = {1, 1, 2, 2, 2, 4};
    struct made left, right;

    if (depth == 0 || draw(5) == 0) {
        to->value = draw(4) ? draw(20) : draw(5000);
        to->rank = 9;
        to->is_fine = 1;
        sprintf(to->text, draw(4) ? "%ld" : "0x%lx", to->value);
        return;
    }
    if (draw(7) == 0) {
        make(&left, depth - 1);
        to->value = -left.value;
        to->rank = 3;
        to->is_fine = left.is_fine;
        sprintf(to->text, left.rank < 4 ? "-(%s)" : "- %s", left.text);
        return;
    }
    int which = draw(6);
    make(&left, depth - 1);
    make(&right, which == 5 ? 0 : depth - 1);
    if (which == 5) {
        right.value %= 4;
        sprintf(right.text, "%ld", right.value);
    }
    int own = RANKS[which], from_right = which == 5;
    int around_left = left.rank < own || (from_right && left.rank == own) || draw(9) == 0;
    int around_right = right.rank < own || (!from_right && right.rank == own) || draw(9) == 0;
    sprintf(to->text, "%s%s%s%s%c%s%s%s%s", around_left ? "(" : "", left.text, around_left ? ")" : "",
            draw(2) ? " " : "", SIGNS[which], draw(3) ? "" : "  ", around_right ? "(" : "", right.text,
            around_right ? ")" : "");
    to->rank = own;
    to->is_fine = left.is_fine && right.is_fine && labs(left.value) < 5000 && labs(right.value) < 5000;
    if (!to->is_fine)
        return;
    to->is_fine = which < 3 || which == 5 || right.value != 0;
    switch (to->is_fine ? which : 9) {
    case 0: to->value = left.value + right.value; break;
    case 1: to->value = left.value - right.value; break;
    case 2: to->value = left.value * right.value; break;
    case 3: to->value = left.value / right.value; break;
    case 4: to->value = left.value % right.value; break;
    case 5: to->value = raised(left.value, right.value); break;
    }
}

static void many_expressions(void)
{
    struct made found;
    int fine = 0;
    for (int i = 0; i < 3000; i++) {
        make(&found, 1 + draw(3));
        if (found.is_fine && strlen(found.text) < 390) {
            long got = WORTH(found.text);
            if (got != found.value)
                printf("%s is %ld, not %ld\n", found.text, found.value, got);
            EXPECT(got == found.value);
            fine++;
        }
    }
    EXPECT(fine > 1000);
}

static void signs_and_powers(void)
{
    EXPECT(WORTH("-2 ^ 2") == -4);
    EXPECT(WORTH("(-2) ^ 3") == -8);
    EXPECT(WORTH("2 ^ -1") == 0);
    EXPECT(WORTH("(0-1) ^ 999999999999") == -1);
    EXPECT(WORTH("(0-1) ^ (0 - 2)") == 1);
    EXPECT(WORTH("0 ^ 0") == 1);
    EXPECT(WORTH("0 ^ 5") == 0);
    EXPECT(WORTH("0 ^ -1") == ERROR(DIVIDED_BY_ZERO));
    EXPECT(WORTH("3 ^ 2 ^ 0") == 3);
    EXPECT(WORTH("-7 / 2") == -3);
    EXPECT(WORTH("-7 % 2") == -1);
    EXPECT(WORTH("2 - -3") == 5);
}

static void numbers_and_limits(void)
{
    EXPECT(WORTH("0xabcdef") == 0xabcdef);
    EXPECT(WORTH("0x") == ERROR(UNEXPECTED));
    EXPECT(WORTH("0x1f0") == 496);
    EXPECT(WORTH("12a") == ERROR(UNEXPECTED));
    EXPECT(WORTH("007") == 7);
    EXPECT(WORTH("99999999999999999999999") == ERROR(TOO_LARGE));
    EXPECT(WORTH("0 - 1000000000000") == -1000000000000);
    EXPECT(WORTH("0 - 1000000000000 - 1") == ERROR(TOO_LARGE));
    EXPECT(WORTH("-1000001 * 1000000") == ERROR(TOO_LARGE));
    EXPECT(WORTH("-1000000 * 1000000") == -1000000000000);
    EXPECT(WORTH("999999999999 * 0") == 0);
    EXPECT(WORTH("10 ^ 12 - 1") == 999999999999);
    EXPECT(WORTH("1 / 0 + 99999999999999") == ERROR(DIVIDED_BY_ZERO));
}

static void names_and_variables(void)
{
    struct calc calc = {0};
    EXPECT(worth(&calc, " total=3#x") == 3);
    EXPECT(worth(&calc, "total2 = total * total") == 9);
    EXPECT(worth(&calc, "total + total2") == 12);
    EXPECT(worth(&calc, "tota") == ERROR(UNKNOWN_NAME));
    EXPECT(worth(&calc, "total = nothing") == ERROR(UNKNOWN_NAME));
    EXPECT(worth(&calc, "total") == 3);
    EXPECT(worth(&calc, "total = 4 5") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "total == 4") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "2 = 3") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "_x = 3") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "abcdefghijkl = 8") == 8);
    EXPECT(worth(&calc, "abcdefghijk") == 8);
    EXPECT(calc.count == 3 && strcmp(calc.variables[2].name, "abcdefghijk") == 0);
    EXPECT(worth(&calc, "c = 1") == 1 && worth(&calc, "d = -2") == -2);
    EXPECT(worth(&calc, "c - d - total") == 0);
}

static void depth_and_remarks(void)
{
    struct calc calc = {0};
    EXPECT(worth(&calc, "((((((((((1))))))))))+((((((((((2))))))))))+((((((((((3))))))))))") == 6);
    EXPECT(worth(&calc, "(((((((((((((((((((((((((1") == ERROR(TOO_DEEP));
    EXPECT(worth(&calc, "# nothing") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "1 +#2") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "\t5\n") == 5);
    EXPECT(worth(&calc, "()") == ERROR(UNEXPECTED));
    EXPECT(worth(&calc, "(1 2)") == ERROR(UNEXPECTED));
}

static void formats(void)
{
    char shown[80], expected[80];
    for (int i = 0; i < 2000; i++) {
        long value = (long)draw(1000000) * draw(2 + i * 100) * (draw(2) ? 1 : -1);
        sprintf(expected, "%ld", value);
        EXPECT(calc_format(value, 10, shown, 80) == (int)strlen(expected) && strcmp(shown, expected) == 0);
        sprintf(expected, "%s%lx", value < 0 ? "-" : "", labs(value));
        EXPECT(calc_format(value, 16, shown, 80) == (int)strlen(expected) && strcmp(shown, expected) == 0);
    }
    EXPECT(calc_format(6, 2, shown, 80) == 3 && strcmp(shown, "110") == 0);
    strcpy(shown, "?");
    EXPECT(calc_format(-10, 10, shown, 3) == 3 && strcmp(shown, "?") == 0);
    EXPECT(calc_format(-10, 10, shown, 4) == 3 && strcmp(shown, "-10") == 0);
}

int main(void)
{
    static const struct test tests[] = {
        TEST(many_expressions), TEST(signs_and_powers), TEST(numbers_and_limits), TEST(names_and_variables),
        TEST(depth_and_remarks), TEST(formats),
    };
    return check(tests, sizeof tests / sizeof tests[0]);
}
