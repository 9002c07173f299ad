#include "check.h"

static void sums(void)
{
    EXPECT(WORTH("1 + 2") == 3);
    EXPECT(WORTH("10 - 4 - 3") == 3);
}

static void products(void)
{
    EXPECT(WORTH("6 * 7") == 42);
    EXPECT(WORTH("100 / 7") == 14);
    EXPECT(WORTH("100 / 10 / 5") == 2);
}

static void remainder_of_division(void) { EXPECT(WORTH("100 % 7") == 2); }

static void ranks_of_operators(void)
{
    EXPECT(WORTH("2 + 3 * 4") == 14);
    EXPECT(WORTH("2 * 3 + 4") == 10);
    EXPECT(WORTH("2 * 3 ^ 2") == 18);
}

static void expression_in_brackets(void)
{
    EXPECT(WORTH("(2 + 3) * 4") == 20);
    EXPECT(WORTH("2 * (3 + (4 - 1))") == 12);
}

static void primary_with_a_sign(void)
{
    EXPECT(WORTH("-3 + 5") == 2);
    EXPECT(WORTH("2 * -3") == -6);
    EXPECT(WORTH("--4") == 4);
}

static void power_of_numbers(void)
{
    EXPECT(WORTH("2 ^ 10") == 1024);
    EXPECT(WORTH("7 ^ 1") == 7);
    EXPECT(WORTH("7 ^ 0") == 1);
}

static void power_from_the_right(void) { EXPECT(WORTH("2 ^ 3 ^ 2") == 512); }

static void power_below_zero(void)
{
    EXPECT(WORTH("2 ^ (0 - 1)") == 0);
    EXPECT(WORTH("1 ^ (0 - 5)") == 1);
}

static void number_in_base_ten(void)
{
    EXPECT(WORTH("0") == 0);
    EXPECT(WORTH("907") == 907);
}

static void number_in_base_sixteen(void)
{
    EXPECT(WORTH("0xff") == 255);
    EXPECT(WORTH("0x10 + 1") == 17);
    EXPECT(WORTH("0xg") == ERROR(UNEXPECTED));
}

static void number_too_large(void)
{
    EXPECT(WORTH("1000000000000") == 1000000000000);
    EXPECT(WORTH("1000000000001") == ERROR(TOO_LARGE));
}

static void apply_too_large(void)
{
    EXPECT(WORTH("1000000 * 1000000") == 1000000000000);
    EXPECT(WORTH("1000001 * 1000000") == ERROR(TOO_LARGE));
    EXPECT(WORTH("10 ^ 13") == ERROR(TOO_LARGE));
    EXPECT(WORTH("1000000000000 + 1") == ERROR(TOO_LARGE));
}

static void apply_division_by_zero(void)
{
    EXPECT(WORTH("1 / 0") == ERROR(DIVIDED_BY_ZERO));
    EXPECT(WORTH("1 % (2 - 2)") == ERROR(DIVIDED_BY_ZERO));
}

static void skip_blanks_and_remarks(void)
{
    EXPECT(WORTH("  1+\t2 ") == 3);
    EXPECT(WORTH("1 # + 2") == 1);
    EXPECT(WORTH("( 1 ) * 5 # five") == 5);
}

static void unexpected_text(void)
{
    EXPECT(WORTH("") == ERROR(UNEXPECTED));
    EXPECT(WORTH("1 +") == ERROR(UNEXPECTED));
    EXPECT(WORTH("1 2") == ERROR(UNEXPECTED));
    EXPECT(WORTH("(1") == ERROR(UNEXPECTED));
    EXPECT(WORTH("1)") == ERROR(UNEXPECTED));
    EXPECT(WORTH("$") == ERROR(UNEXPECTED));
}

static void set_and_find_a_variable(void)
{
    struct calc calc = {0};
    EXPECT(worth(&calc, "x = 5") == 5);
    EXPECT(worth(&calc, "x * x") == 25);
    EXPECT(worth(&calc, "y") == ERROR(UNKNOWN_NAME));
    EXPECT(worth(&calc, "y = x + 1") == 6);
    EXPECT(worth(&calc, "y - x") == 1);
}

static void set_a_variable_again(void)
{
    struct calc calc = {0};
    EXPECT(worth(&calc, "rate = 5") == 5);
    EXPECT(worth(&calc, "rate = rate + 2") == 7);
    EXPECT(worth(&calc, "rate") == 7);
    EXPECT(calc.count == 1);
}

static void set_many_variables(void)
{
    struct calc calc = {0};
    char text[] = "a = 1";
    for (int i = 0; i < MOST_NAMES; i++, text[0]++)
        EXPECT(worth(&calc, text) == 1);
    EXPECT(worth(&calc, text) == ERROR(TOO_MANY_NAMES));
    EXPECT(worth(&calc, "b = 3") == 3);
    EXPECT(worth(&calc, "a + b + h") == 5);
}

static void name_of_a_variable(void)
{
    struct calc calc = {0};
    EXPECT(worth(&calc, "x_1 = 4") == 4);
    EXPECT(worth(&calc, "x_1 + 1") == 5);
    EXPECT(worth(&calc, "a_long_name = 6") == 6);
    EXPECT(worth(&calc, "a_long_name") == 6);
}

static void nothing_is_set_by_an_error(void)
{
    struct calc calc = {0};
    EXPECT(worth(&calc, "x = 1 / 0") == ERROR(DIVIDED_BY_ZERO));
    EXPECT(worth(&calc, "x") == ERROR(UNKNOWN_NAME));
    EXPECT(worth(&calc, "x = (2") == ERROR(UNEXPECTED));
    EXPECT(calc.count == 0);
}

static void depth_of_brackets(void)
{
    EXPECT(WORTH("((((((((((((((((((((7))))))))))))))))))))") == 7);
    EXPECT(WORTH("(((((((((((((((((((((7)))))))))))))))))))))") == ERROR(TOO_DEEP));
    EXPECT(WORTH("(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)") == 22);
}

static void format_in_base_ten(void)
{
    char shown[40];
    EXPECT(calc_format(0, 10, shown, 40) == 1 && strcmp(shown, "0") == 0);
    EXPECT(calc_format(-120, 10, shown, 40) == 4 && strcmp(shown, "-120") == 0);
}

static void format_in_base_sixteen(void)
{
    char shown[40];
    EXPECT(calc_format(255, 16, shown, 40) == 2 && strcmp(shown, "ff") == 0);
    EXPECT(calc_format(-4096, 16, shown, 40) == 5 && strcmp(shown, "-1000") == 0);
}

static void format_without_room(void)
{
    char shown[4] = "???";
    EXPECT(calc_format(123, 10, shown, 4) == 3 && strcmp(shown, "123") == 0);
    EXPECT(calc_format(1234, 10, shown, 4) == 4 && strcmp(shown, "123") == 0);
}

int main(void)
{
    static const struct test tests[] = {
        TEST(sums), TEST(products), TEST(remainder_of_division), TEST(ranks_of_operators),
        TEST(expression_in_brackets), TEST(primary_with_a_sign), TEST(power_of_numbers), TEST(power_from_the_right),
        TEST(power_below_zero), TEST(number_in_base_ten), TEST(number_in_base_sixteen), TEST(number_too_large),
        TEST(apply_too_large), TEST(apply_division_by_zero), TEST(skip_blanks_and_remarks), TEST(unexpected_text),
        TEST(set_and_find_a_variable), TEST(set_a_variable_again), TEST(set_many_variables), TEST(name_of_a_variable),
        TEST(nothing_is_set_by_an_error), TEST(depth_of_brackets), TEST(format_in_base_ten),
        TEST(format_in_base_sixteen), TEST(format_without_room),
    };
    return check(tests, sizeof tests / sizeof tests[0]);
}
