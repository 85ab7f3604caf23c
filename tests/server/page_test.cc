#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/served_api.h"
#include "support/temp_folder.h"

namespace nvllm::server {
namespace {

using nvllm::testing::ServedApi;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Page, LoadsNothingFromElsewhere) {
  ServedApi api;
  const net::HttpResponse page = api.client().get("/"), script = api.client().get("/page.js");
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(script.content_type, "text/javascript; charset=utf-8");
  EXPECT_THAT(page.body, HasSubstr("<script src=\"/page.js\">"));
  ASSERT_NE(page.header("Content-Security-Policy"), nullptr);
  EXPECT_THAT(*page.header("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  for (const std::string& text : {page.body, script.body}) {
    EXPECT_THAT(text, Not(HasSubstr("http://")));
    EXPECT_THAT(text, Not(HasSubstr("https://")));
  }
}

TEST(Evidence, ListsFoldersThatHoldAReportAndOpensNoOther) {
  const nvllm::testing::TempFolder folder;
  const std::filesystem::path root = folder.path();
  for (const char* name : {"b run", "a"}) {
    std::filesystem::create_directories(root / name);
    std::ofstream(root / name / "report.html") << "<p>report of " << name << "</p>";
  }
  std::filesystem::create_directories(root / "empty");
  std::ofstream(root / "report.html") << "not a folder's";
  ServedApi api(nvllm::testing::Start::kLoaded, {}, {}, root);
  EXPECT_EQ(api.client().get("/evidence").body, R"({"folders":["a","b run"]})");
  EXPECT_EQ(api.client().get("/evidence/report?folder=b%20run").body, "<p>report of b run</p>");
  for (const char* wrong : {"", "?folder=", "?folder=empty", "?folder=..", "?folder=.", "?folder=a/../a", "?folder=%2e%2e", "?folder=a%", "?folder=a%zz"}) {
    EXPECT_EQ(api.client().get(std::string("/evidence/report") + wrong).status, 404) << wrong;
  }
  ServedApi without;
  EXPECT_EQ(without.client().get("/evidence").body, R"({"folders":[]})");
}

}  // namespace
}  // namespace nvllm::server
