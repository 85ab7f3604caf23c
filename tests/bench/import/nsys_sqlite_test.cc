#include "bench/import/nsys_sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "base/error.h"
#include "bench/store/temp_folder.h"

namespace nvllm::bench {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kTables =
    "CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER,"
    " correlationId INTEGER, registersPerThread INTEGER, gridX INTEGER, gridY INTEGER, gridZ INTEGER, blockX INTEGER,"
    " blockY INTEGER, blockZ INTEGER, staticSharedMemory INTEGER, dynamicSharedMemory INTEGER, demangledName INTEGER,"
    " shortName INTEGER, graphNodeId INTEGER);"
    "INSERT INTO StringIds VALUES (1, 'void gemv<int>(int)'), (2, 'norm');";

class NsysFile : public testing::Test {
 protected:
  void run(const std::string& statements) {
    sqlite3* database = nullptr;
    ASSERT_EQ(::sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    char* message = nullptr;
    EXPECT_EQ(::sqlite3_exec(database, statements.c_str(), nullptr, nullptr, &message), SQLITE_OK) << message;
    ::sqlite3_close(database);
  }
  void kernel(std::int64_t start, std::int64_t end, int grid, int name, const char* node = "NULL") {
    run(fmt::format("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES ({},{},0,7,1,32,{},1,1,128,1,1,16,32,{},{},{})",
                    start, end, grid, name, name, node));
  }
  std::string refusal() {
    try {
      import_nsys_sqlite(path_);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  }
  test::TempFolder folder_;
  std::filesystem::path path_ = folder_.path() / "report.sqlite";
};

TEST_F(NsysFile, GivesKernelsByNameAndShape) {
  run(kTables);
  kernel(1000, 5000, 4, 1);
  kernel(9000, 15000, 4, 1, "77");
  kernel(20000, 21000, 8, 1);
  kernel(30000, 30500, 1, 2);
  const NsysImport seen = import_nsys_sqlite(path_, {.leg = "lower8"});
  EXPECT_EQ(seen.kernels, 4);
  EXPECT_EQ(seen.kernels_in_graphs, 1);
  EXPECT_THAT(seen.findings, ElementsAre());
  ASSERT_EQ(seen.table.rows.size(), 3u);
  const KernelRow& first = seen.table.rows[0];
  EXPECT_EQ(first.name, "void gemv<int>(int)");
  EXPECT_EQ(first.n_calls, 2);
  EXPECT_DOUBLE_EQ(first.mean_us, 5);
  EXPECT_EQ(first.grid, (Dim3{4, 1, 1}));
  EXPECT_EQ(first.shared_bytes, 48);
  EXPECT_EQ(import_nsys_sqlite(path_, {.key = TraceKey::kName}).table.rows.size(), 2u);
}

TEST_F(NsysFile, FindsGraphsThatWereTracedAsAWhole) {
  run(kTables);
  kernel(1000, 5000, 4, 1);
  run("CREATE TABLE CUPTI_ACTIVITY_KIND_GRAPH_TRACE (start INTEGER, end INTEGER, graphId INTEGER)");
  EXPECT_THAT(import_nsys_sqlite(path_).findings, ElementsAre());
  run("INSERT INTO CUPTI_ACTIVITY_KIND_GRAPH_TRACE VALUES (1, 2, 3), (4, 5, 3)");
  EXPECT_THAT(import_nsys_sqlite(path_).findings, ElementsAre(HasSubstr("2 graph launches were traced as a whole")));
}

TEST_F(NsysFile, CountsRowsItCannotUse) {
  run(kTables);
  kernel(1000, 5000, 4, 1);
  kernel(1000, 5000, 4, 99);
  kernel(5000, 1000, 4, 1);
  const NsysImport seen = import_nsys_sqlite(path_);
  EXPECT_EQ(seen.malformed, 2);
  EXPECT_EQ(seen.kernels, 1);
  EXPECT_THAT(seen.findings, ElementsAre(HasSubstr("2 rows")));
}

TEST_F(NsysFile, RefusesOtherFiles) {
  EXPECT_THAT(refusal(), HasSubstr("no such file"));
  folder_.put("report.sqlite", std::string(5000, 'x'));
  EXPECT_THAT(refusal(), HasSubstr("file is not a database"));
  std::filesystem::remove(path_);
  run("CREATE TABLE other (a INTEGER)");
  EXPECT_THAT(refusal(), HasSubstr("has no column 'start'"));
  run("CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER)");
  EXPECT_THAT(refusal(), HasSubstr("has no column 'demangledName'"));
}

}  // namespace
}  // namespace nvllm::bench
