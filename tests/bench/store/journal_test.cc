#include "bench/store/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

class JournalFile : public testing::Test {
 protected:
  std::string written(int count) {
    Journal journal(path_);
    for (int i = 0; i < count; ++i)
      journal.append("state", "lower8/rounds/01/profile", Json{{"state", "READY"}, {"i", i}});
    return test::text_of(path_);
  }
  std::string refusal(const std::string& text) {
    try {
      parse_journal(text, "journal.jsonl");
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  test::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "journal.jsonl";
};

TEST_F(JournalFile, ReadsBackWhatWasAppended) {
  written(3);
  const JournalReading reading = read_journal(path_);
  ASSERT_EQ(reading.events.size(), 3u);
  EXPECT_EQ(reading.events[2].seq, 3);
  EXPECT_EQ(reading.events[2].data.at("i"), 2);
  EXPECT_EQ(reading.events[0].prev_sha256, std::string(64, '0'));
  EXPECT_EQ(reading.events[0].t_wall.size(), 24u);
  EXPECT_LE(reading.events[0].t_mono_ns, reading.events[2].t_mono_ns);
  EXPECT_TRUE(reading.torn.empty());
}

TEST_F(JournalFile, ContinuesItsChainWhenOpenedAgain) {
  written(2);
  written(2);
  const JournalReading reading = read_journal(path_);
  ASSERT_EQ(reading.events.size(), 4u);
  const std::string text = test::text_of(path_);
  const std::size_t second = text.find('\n') + 1;
  EXPECT_EQ(reading.events[1].prev_sha256, sha256_hex(std::string_view(text).substr(0, second - 1)));
}

TEST_F(JournalFile, ToleratesATornLastLineAtEveryByte) {
  const std::string text = written(2);
  const std::size_t second = text.find('\n') + 1;
  for (std::size_t cut = second; cut < text.size(); ++cut) {
    const JournalReading reading = parse_journal(text.substr(0, cut), "test");
    EXPECT_EQ(reading.events.size(), 1u) << cut;
    EXPECT_EQ(reading.torn.size(), cut - second);
    EXPECT_EQ(reading.whole_bytes, static_cast<std::int64_t>(second));
  }
}

TEST_F(JournalFile, ReplacesATornLineByAnEventThatTellsOfIt) {
  const std::string text = written(2);
  folder_.put("journal.jsonl", text + "{\"seq\":3,\"da");
  written(1);
  const JournalReading reading = read_journal(path_);
  ASSERT_EQ(reading.events.size(), 4u);
  EXPECT_EQ(reading.events[2].event, events::kRecovered);
  EXPECT_EQ(reading.events[2].data.at("torn_bytes"), 12);
  EXPECT_EQ(reading.events[3].event, "state");
}

TEST_F(JournalFile, RefusesABrokenChainWithTheLine) {
  const std::string text = written(4);
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    lines.push_back(text.substr(at, text.find('\n', at) + 1 - at));
  }
  std::string changed = lines[1];
  changed.replace(changed.find("READY"), 5, "ready");
  EXPECT_THAT(refusal(lines[0] + changed + lines[2] + lines[3]), HasSubstr("journal.jsonl:3: the chain is broken"));
  EXPECT_THAT(refusal(lines[0] + lines[2] + lines[3]), HasSubstr("journal.jsonl:2: the chain is broken"));
  EXPECT_THAT(refusal(lines[0] + lines[2] + lines[1] + lines[3]), HasSubstr("journal.jsonl:2:"));
  EXPECT_THAT(refusal(lines[0] + lines[0]), HasSubstr("journal.jsonl:2:"));
  EXPECT_THAT(refusal(lines[1]), HasSubstr("journal.jsonl:1:"));
  EXPECT_THAT(refusal(lines[0] + "not json\n" + lines[1]), HasSubstr("journal.jsonl:2"));
  EXPECT_THAT(refusal(lines[0] + "{}\n"), HasSubstr("not an event"));
}

TEST_F(JournalFile, IsWrittenByOneProcessAtATime) {
  const Journal first(path_);
  EXPECT_THROW(Journal second(path_), Error);
}

TEST_F(JournalFile, IsAbsentAsAnEmptyOne) { EXPECT_TRUE(read_journal(path_).events.empty()); }

TEST_F(JournalFile, TakesBackAnEventThatTheDiskHadNoRoomFor) {
  const std::string before = written(2);
  const pid_t child = ::fork();
  if (child == 0) {
    // The file may grow by half an event: the write stops in the middle, as on a full disk.
    ::signal(SIGXFSZ, SIG_IGN);
    const rlim_t room = before.size() + 100;
    const rlimit limit{room, room};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int failed = 0;
    Journal journal(path_);
    for (int i = 0; i < 2; ++i) {
      try {
        journal.append("state", "", Json{{"state", "FLUSHING"}});
      } catch (const Error& error) {
        if (std::string(error.what()).find("journal.jsonl: an event cannot be written") != std::string::npos) ++failed;
      }
    }
    ::_exit(failed);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(test::text_of(path_), before) << "nothing half written is left";
  written(1);
  EXPECT_EQ(read_journal(path_).events.size(), 3u);
}

}  // namespace
}  // namespace nvllm::bench
