#include "bench/import/nsys_sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <array>
#include <memory>
#include <set>
#include <string_view>

#include "base/error.h"

namespace nvllm::bench {

namespace {

constexpr const char* kKernels = "CUPTI_ACTIVITY_KIND_KERNEL";

/// Columns that the query cannot do without.
constexpr std::array<std::string_view, 11> kColumns = {"start",
                                                       "end",
                                                       "demangledName",
                                                       "gridX",
                                                       "gridY",
                                                       "gridZ",
                                                       "blockX",
                                                       "blockY",
                                                       "blockZ",
                                                       "staticSharedMemory",
                                                       "dynamicSharedMemory"};

struct CloseDatabase {
  void operator()(sqlite3* database) const { ::sqlite3_close(database); }
};
struct FinishStatement {
  void operator()(sqlite3_stmt* statement) const { ::sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, FinishStatement>;

class Database {
 public:
  explicit Database(const std::filesystem::path& path) : what_(path.string()) {
    if (!std::filesystem::exists(path)) {
      throw Error(ErrorKind::kNotFound, fmt::format("{}: no such file", what_));
    }
    sqlite3* opened = nullptr;
    const int outcome = ::sqlite3_open_v2(path.c_str(), &opened, SQLITE_OPEN_READONLY, nullptr);
    database_.reset(opened);
    if (outcome != SQLITE_OK) refuse("cannot be opened");
  }

  Statement prepare(const std::string& query) const {
    sqlite3_stmt* statement = nullptr;
    if (::sqlite3_prepare_v2(database_.get(), query.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      refuse("cannot be queried");
    }
    return Statement(statement);
  }

  /// Whether there is another row.
  bool step(const Statement& statement) const {
    const int outcome = ::sqlite3_step(statement.get());
    if (outcome != SQLITE_ROW && outcome != SQLITE_DONE) refuse("cannot be read");
    return outcome == SQLITE_ROW;
  }

  /// The columns of a table; empty where there is none.
  std::set<std::string, std::less<>> columns(const char* table) const {
    const Statement statement = prepare(fmt::format("PRAGMA table_info({})", table));
    std::set<std::string, std::less<>> found;
    while (step(statement)) found.emplace(text(statement, 1));
    return found;
  }

  static std::string_view text(const Statement& statement, int column) {
    const auto* begin = reinterpret_cast<const char*>(::sqlite3_column_text(statement.get(), column));
    const auto bytes = static_cast<std::size_t>(::sqlite3_column_bytes(statement.get(), column));
    return begin == nullptr ? std::string_view() : std::string_view(begin, bytes);
  }

  [[noreturn]] void refuse(std::string_view why) const {
    throw Error(ErrorKind::kBadFile, fmt::format("{}: {}: {}", what_, why, ::sqlite3_errmsg(database_.get())));
  }

  const std::string& what() const { return what_; }

 private:
  std::string what_;
  std::unique_ptr<sqlite3, CloseDatabase> database_;
};

void check_columns(const Database& database, const std::set<std::string, std::less<>>& columns) {
  for (const std::string_view column : kColumns) {
    if (columns.contains(column)) continue;
    throw Error(ErrorKind::kBadFile, fmt::format("{}: table {} has no column '{}'; wanted the export of a CUDA trace: "
                                                 "nsys export --type sqlite",
                                                 database.what(), kKernels, column));
  }
  if (database.columns("StringIds").empty()) {
    throw Error(ErrorKind::kBadFile,
                fmt::format("{}: no table StringIds, which holds the kernels' names", database.what()));
  }
}

void take_row(const Statement& row, const NsysOptions& options, KernelTallies& tallies, NsysImport& result) {
  const auto number = [&](int column) { return ::sqlite3_column_int64(row.get(), column); };
  const std::string_view name = Database::text(row, 0);
  const std::int64_t duration_ns = number(2) - number(1);
  if (name.empty() || duration_ns < 0) {
    ++result.malformed;
    return;
  }
  ++result.kernels;
  result.kernels_in_graphs += number(11) != 0;
  const Dim3 grid = {number(3), number(4), number(5)}, block = {number(6), number(7), number(8)};
  const std::int64_t shared_bytes = number(9) + number(10);
  const bool shaped = options.key == TraceKey::kLaunchShape;
  const std::string key =
      shaped ? fmt::format("{}\x1f{},{}\x1f{}", name, fmt::join(grid, ","), fmt::join(block, ","), shared_bytes)
             : std::string(name);
  tallies.add(key, static_cast<double>(duration_ns) * 1e-3, [&] {
    KernelRow described;
    described.name = name;
    if (shaped) {
      described.grid = grid;
      described.block = block;
      described.shared_bytes = shared_bytes;
    }
    return described;
  });
}

void find_losses(const Database& database, NsysImport& result) {
  if (result.kernels == 0) result.findings.push_back("no kernel at all");
  if (result.malformed > 0) {
    result.findings.push_back(fmt::format("{} rows without a name or with an end before the begin", result.malformed));
  }
  if (database.columns("CUPTI_ACTIVITY_KIND_GRAPH_TRACE").empty()) return;
  const Statement count = database.prepare("SELECT count(*) FROM CUPTI_ACTIVITY_KIND_GRAPH_TRACE");
  const std::int64_t graphs = database.step(count) ? ::sqlite3_column_int64(count.get(), 0) : 0;
  if (graphs == 0) return;
  result.findings.push_back(
      fmt::format("{} graph launches were traced as a whole, their kernels are missing; profile "
                  "with --cuda-graph-trace=node",
                  graphs));
}

}  // namespace

NsysImport import_nsys_sqlite(const std::filesystem::path& path, const NsysOptions& options) {
  const Database database(path);
  const auto columns = database.columns(kKernels);
  check_columns(database, columns);
  const Statement rows = database.prepare(fmt::format(
      "SELECT s.value, k.start, k.\"end\", k.gridX, k.gridY, k.gridZ, k.blockX, k.blockY, k.blockZ, "
      "k.staticSharedMemory, k.dynamicSharedMemory, {} FROM {} k LEFT JOIN StringIds s ON s.id = k.demangledName",
      columns.contains("graphNodeId") ? "k.graphNodeId" : "0", kKernels));
  NsysImport result;
  KernelTallies tallies(options.kinds_max, path.string());
  while (database.step(rows)) take_row(rows, options, tallies, result);
  result.table = tallies.table(options.leg);
  find_losses(database, result);
  return result;
}

}  // namespace nvllm::bench
