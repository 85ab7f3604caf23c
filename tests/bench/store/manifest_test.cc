#include "bench/store/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/hashing.h"
#include "bench/store/file_digest.h"
#include "bench/store/git_ignore.h"
#include "bench/store/relative_path.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class Manifest : public testing::Test {
 protected:
  void SetUp() override {
    folder_.put("summary.md", "text\n");
    folder_.put("lower8/perq.jsonl", "{}\n");
    folder_.put("lower8/rounds/01/profile/run.pt.trace.json.gz", "raw");
    folder_.put("a b.txt", "");
  }
  const fs::path& path() const { return folder_.path(); }
  test::TempFolder folder_;
};

TEST_F(Manifest, IsSortedAndItsOwnHashIsTheIdentity) {
  const std::string identity = write_manifests(path());
  const std::string text = test::text_of(path() / kManifestName);
  EXPECT_EQ(identity, sha256_hex(std::string_view(text)));
  EXPECT_EQ(identity, folder_identity(path()));
  EXPECT_EQ(text, sha256_hex(std::string_view(test::text_of(path() / kIgnoredManifestName))) + "  " +
                      kIgnoredManifestName + "\n" + sha256_hex(std::string_view("")) + "  a b.txt\n" +
                      sha256_hex(std::string_view("{}\n")) + "  lower8/perq.jsonl\n" +
                      sha256_hex(std::string_view("text\n")) + "  summary.md\n");
  EXPECT_THAT(test::text_of(path() / kIgnoredManifestName),
              HasSubstr("# 3 bytes\n" + sha256_hex(std::string_view("raw")) + "  lower8/rounds/01/profile/run.pt"));
}

TEST_F(Manifest, IsReadBySha256sum) {
  write_manifests(path());
  for (const char* list : {kManifestName, kIgnoredManifestName}) {
    const std::string command = "cd '" + path().string() + "' && sha256sum -c --strict --quiet " + list + " >&2";
    EXPECT_EQ(std::system(command.c_str()), 0) << list;
  }
  folder_.put("summary.md", "other\n");
  const std::string command = "cd '" + path().string() + "' && sha256sum -c --status " + kManifestName;
  EXPECT_NE(std::system(command.c_str()), 0);
}

TEST_F(Manifest, AnIntactFolderHasNoFault) {
  const std::string identity = write_manifests(path());
  const ManifestReport report = check_manifests(path());
  EXPECT_THAT(report.faults, ElementsAre());
  EXPECT_EQ(report.files, 5);
  EXPECT_EQ(report.identity, identity);
}

TEST_F(Manifest, SeesAChangedAMissingAndAnAddedFile) {
  write_manifests(path());
  folder_.put("summary.md", "Text\n");
  folder_.put("zz_new", "x");
  fs::remove(path() / "a b.txt");
  EXPECT_THAT(check_manifests(path()).faults,
              ElementsAre("a b.txt: missing", HasSubstr("summary.md: changed"), "zz_new: not listed"));
}

TEST_F(Manifest, AnAbsentRawFileIsNoFaultButAChangedOneIs) {
  write_manifests(path());
  const fs::path raw = path() / "lower8/rounds/01/profile/run.pt.trace.json.gz";
  fs::remove(raw);
  EXPECT_THAT(check_manifests(path()).faults, ElementsAre());
  EXPECT_THAT(check_manifests(path()).absent_raw, ElementsAre("lower8/rounds/01/profile/run.pt.trace.json.gz"));
  folder_.put("lower8/rounds/01/profile/run.pt.trace.json.gz", "rax");
  EXPECT_THAT(check_manifests(path()).faults, ElementsAre(HasSubstr("run.pt.trace.json.gz: changed")));
}

TEST_F(Manifest, IsWrittenOnce) {
  write_manifests(path());
  EXPECT_THROW(write_manifests(path()), Error);
}

TEST_F(Manifest, RefusesLinksAndNamesThatAListCannotHold) {
  fs::create_symlink("/etc/passwd", path() / "link");
  EXPECT_THROW(write_manifests(path()), Error);
  fs::remove(path() / "link");
  folder_.put("two\nlines", "");
  EXPECT_THROW(write_manifests(path()), Error);
  fs::remove(path() / "two\nlines");
  folder_.put("x.tmp-123", "half");
  EXPECT_THROW(write_manifests(path()), Error);
  EXPECT_FALSE(has_manifest(path()));
}

TEST_F(Manifest, RefusesAMalformedListWithTheLine) {
  write_manifests(path());
  const std::string good = test::text_of(path() / kManifestName);
  const std::string digest(64, 'a');
  for (const std::string& bad : {std::string("hello"), digest + "  ../outside", digest + "  /etc/passwd", digest + " x",
                                 good.substr(0, good.find('\n'))}) {
    folder_.put(kManifestName, good + bad + "\n");
    try {
      (void)check_manifests(path());
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("MANIFEST.sha256:5:"));
    }
  }
}

TEST(FileDigest, IsThatOfTheBytes) {
  const test::TempFolder folder;
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(digest_file(folder.put("big", text)), (FileDigest{3 << 20, sha256_hex(std::string_view(text))}));
  EXPECT_EQ(digest_file(folder.put("empty", "")), (FileDigest{0, sha256_hex(std::string_view(""))}));
  EXPECT_THROW(digest_file(folder.path()), Error);
  EXPECT_THROW(digest_file("/dev/null"), Error);
  EXPECT_THROW(digest_file(folder.path() / "absent"), Error);
}

TEST(GitIgnore, LeavesOutRawFilesOnly) {
  EXPECT_TRUE(is_git_ignored("lower8/rounds/01/profile/x.pt.trace.json.gz"));
  EXPECT_TRUE(is_git_ignored("my_serve.log.gz"));
  EXPECT_TRUE(is_git_ignored("a.sqlite"));
  EXPECT_FALSE(is_git_ignored("lower8/perq.jsonl"));
  EXPECT_FALSE(is_git_ignored("x.raw/perq.jsonl")) << "patterns speak of file names";
  EXPECT_THAT(git_ignore_text(), HasSubstr("\n*.nsys-rep\n"));
}

TEST(RelativePath, StaysBelowItsFolder) {
  EXPECT_TRUE(stays_below("a"));
  EXPECT_TRUE(stays_below("a/b..c/.d"));
  for (const char* path : {"", "/a", "a/", "..", "a/../b", "a//b", "./a", "a/."})
    EXPECT_FALSE(stays_below(path)) << path;
}

}  // namespace
}  // namespace nvllm::bench
