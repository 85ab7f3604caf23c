#include "cli/command_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <string_view>
#include <vector>

namespace nvllm::cli {
namespace {

TEST(CommandTable, ListsEachCommandOnceWithASentence) {
  std::vector<std::string_view> names;
  for (const Command& command : command_table()) {
    names.push_back(command.name);
    EXPECT_FALSE(command.summary.empty()) << command.name;
    EXPECT_FALSE(command.summary.ends_with('.')) << command.name;
  }
  EXPECT_THAT(names, ::testing::ElementsAre("serve", "generate", "chat", "bench", "quantize", "make-model",
                                            "inspect", "version"));
}

TEST(CommandTable, ConfiguresCommandsThatExplainThemselvesAndRefuseUnknownFlags) {
  for (const Command& command : command_table()) {
    CLI::App app;
    app.name(std::string(command.name));
    Action action;
    command.configure(app, action);
    EXPECT_TRUE(action) << command.name;
    EXPECT_THAT(app.help(), ::testing::HasSubstr("--help")) << command.name;
    EXPECT_THROW(app.parse("--no-such-flag"), CLI::ParseError) << command.name;
  }
}

TEST(CommandTable, DescribesEveryFlagOfEveryCommand) {
  for (const Command& command : command_table()) {
    CLI::App app;
    Action action;
    command.configure(app, action);
    for (const CLI::Option* option : app.get_options()) {
      EXPECT_FALSE(option->get_description().empty()) << command.name << " " << option->get_name();
    }
  }
}

TEST(ExitCodes, AreTheOnesTheManualPromises) {
  EXPECT_EQ((std::vector<int>{kDone, kGateFailed, kUsageError, kUnavailable, kHostUnfit, kFault}),
            (std::vector<int>{0, 1, 2, 5, 6, 9}));
}

}  // namespace
}  // namespace nvllm::cli
