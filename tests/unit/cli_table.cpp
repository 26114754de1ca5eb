// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include "cli/table.hpp"

namespace porthole::cli {
namespace {

const std::vector<Cells> lines{{"ID", "STATE", "TEXT", "END"},
                               {"1234567890", "active", "Grüße an alle", "x"},
                               {"2", "waiting", "", "waiting"}};

TEST(CliTable, AlignsItsColumns) {
    EXPECT_EQ(table({{"A", "B", "C"}, {"long", "x", "1"}, {"", "middle", ""}}),
              "A     B       C\n"
              "long  x       1\n"
              "      middle\n");
    EXPECT_EQ(table({}, {.shortened = {0}}, {.width = 1}), "");
}

TEST(CliTable, CountsCharactersNotBytes) {
    EXPECT_EQ(table({{"Grüße", "x"}, {"Gruss", "x"}}), "Grüße  x\nGruss  x\n");
}

TEST(CliTable, ShortensTextToFitTheWidth) {
    const Columns columns{.shortened = {2}};
    EXPECT_EQ(table(lines, columns, {.width = 33}),
              "ID          STATE    TE…  END\n"
              "1234567890  active   Gr…  x\n"
              "2           waiting       waiting\n");
    EXPECT_EQ(table(lines, columns, {.width = 36}),
              "ID          STATE    TEXT    END\n"
              "1234567890  active   Grüße…  x\n"
              "2           waiting          waiting\n");
    EXPECT_EQ(table(lines, columns, {.width = 44}), table(lines));
    // What may not be shortened is whole, however long the lines get.
    EXPECT_EQ(table(lines, {}, {.width = 10}), table(lines));
}

TEST(CliTable, ShortensTheWidestFirst) {
    EXPECT_EQ(table({{"1234567890", "12345", "abc"}}, {.shortened = {0, 1}}, {.width = 16}),
              "123…  12345  abc\n");
}

TEST(CliTable, HasColoursForStatesAlone) {
    EXPECT_EQ(table(lines, {.state = 1}, {.colours = true}),
              "ID          STATE    TEXT           END\n"
              "1234567890  \033[32mactive\033[0m   Grüße an alle  x\n"
              "2           \033[33mwaiting\033[0m                 waiting\n");
    EXPECT_EQ(coloured("never"), "never");
}

}  // namespace
}  // namespace porthole::cli
