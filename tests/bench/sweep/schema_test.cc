#include "bench/sweep/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "base/error.h"
#include "bench/sweep/sweep.h"

namespace nvllm::bench {
namespace {

constexpr const char* kHead = "schema = \"nvllm.sweep/v1\"\nname = \"s\"\nclaim = \"c\"\n";
constexpr const char* kLeg = "[legs.a]\n";
constexpr const char* kVerdict = "[[verdict]]\nwhen = \"true\"\nid = \"open\"\n";

/// A sweep file with a key "zzz" in that section and what the section needs besides.
std::string with_unknown_key(const std::string& section) {
  static const std::map<std::string, std::string> kNeeds = {
      {"noise", "kind = \"borrowed\"\nboot_sigma = \"1%\"\nsource = \"s\"\n"},
      {"baseline", "path = \"p\"\n"},
      {"gates.NAME identity", "kind = \"identity\"\n"},
      {"gates.NAME equivalent", "kind = \"equivalent\"\nmargin = \"2%\"\n"},
      {"gates.NAME noninferior", "kind = \"noninferior\"\nmargin = \"4pt\"\n"},
      {"gates.NAME count_within", "kind = \"count_within\"\nk = 2\n"},
      {"gates.NAME count_at_least", "kind = \"count_at_least\"\nright = 2\n"},
      {"gates.NAME order", "kind = \"order\"\nexpect = \"a < a\"\n"},
      {"gates.NAME closure", "kind = \"closure\"\nlo = \"95%\"\nhi = \"101%\"\n"},
      {"hypotheses.NAME", "expr = \"ms_per_token(a) > 0\"\n"},
  };
  const std::string needs = kNeeds.contains(section) ? kNeeds.at(section) : "";
  if (section.empty()) return std::string(kHead) + "zzz = 1\n" + kLeg + kVerdict;
  if (section == "verdict") return std::string(kHead) + kLeg + kVerdict + "zzz = 1\n";
  if (section == "legs.NAME") return std::string(kHead) + kLeg + "zzz = 1\n" + kVerdict;
  if (section == "profile.bursts") {
    return std::string(kHead) + kLeg + "[profile]\nbursts = [{ requests = 1, max_tokens = 2, zzz = 1 }]\n" + kVerdict;
  }
  const std::string table = section.substr(0, section.find(' '));
  return std::string(kHead) + kLeg + "[" + table + "]\n" + needs + "zzz = 1\n" + kVerdict;
}

/// The keys that the reader says it wants.
std::set<std::string> wanted_keys(const std::string& text) {
  try {
    parse_sweep(text, "x.toml");
  } catch (const Error& error) {
    const std::string message = error.what();
    const std::size_t at = message.find("wanted one of: ");
    EXPECT_NE(at, std::string::npos) << message;
    std::istringstream words(message.substr(at + 15));
    std::set<std::string> keys;
    for (std::string word; words >> word;) keys.insert(word.ends_with(',') ? word.substr(0, word.size() - 1) : word);
    return keys;
  }
  ADD_FAILURE() << "the unknown key was taken: " << text;
  return {};
}

TEST(Schema, ListsExactlyTheKeysThatTheReaderTakes) {
  for (const SchemaSection& section : sweep_schema()) {
    std::set<std::string> listed;
    for (const SchemaKey& key : section.keys) listed.insert(key.key);
    EXPECT_EQ(listed, wanted_keys(with_unknown_key(section.name))) << "section [" << section.name << "]";
  }
}

}  // namespace
}  // namespace nvllm::bench
