#include "bench/run/place.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "bench/run/fake_server.h"
#include "bench/store/manifest.h"
#include "support/temp_folder.h"

namespace nvllm::bench {
namespace {

using nvllm::testing::TempFolder;
using test::put_file;

TEST(Place, NeverTakesAFolderThatIsThere) {
  const TempFolder root;
  const auto next = [&] {
    return choose_folder("", root.path(), "s", "2026-05-02", RunStart::kNew).filename();
  };
  EXPECT_EQ(next(), "2026-05-02");
  std::filesystem::create_directories(root.path() / "s/2026-05-02");
  EXPECT_EQ(next(), "2026-05-02-2");
  std::filesystem::create_directories(root.path() / "s/2026-05-02-2");
  EXPECT_EQ(next(), "2026-05-02-3");
}

TEST(Place, ResumesTheNewestFolderThatIsNotClosed) {
  const TempFolder root;
  EXPECT_THROW(choose_folder("", root.path(), "s", "d", RunStart::kResume), Error);
  put_file(root.path() / "s/a/journal.jsonl", "");
  put_file(root.path() / "s/b/journal.jsonl", "");
  put_file(root.path() / "s/b/MANIFEST.sha256", "");
  EXPECT_EQ(choose_folder("", root.path(), "s", "d", RunStart::kResume).filename(), "a");
}

TEST(Place, AFolderThatIsGivenHasToBeEmptyOrResumed) {
  const TempFolder root;
  EXPECT_EQ(choose_folder(root.path() / "new", "", "s", "d", RunStart::kNew), root.path() / "new");
  put_file(root.path() / "x/journal.jsonl", "");
  EXPECT_THROW(choose_folder(root.path() / "x", "", "s", "d", RunStart::kNew), Error);
  EXPECT_EQ(choose_folder(root.path() / "x", "", "s", "d", RunStart::kResume), root.path() / "x");
  EXPECT_THROW(choose_folder(root.path() / "y", "", "s", "d", RunStart::kResume), Error);
  put_file(root.path() / "x/MANIFEST.sha256", "");
  EXPECT_THROW(choose_folder(root.path() / "x", "", "s", "d", RunStart::kResume), Error);
}

}  // namespace
}  // namespace nvllm::bench
