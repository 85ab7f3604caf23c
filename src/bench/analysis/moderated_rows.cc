#include "bench/analysis/moderated_rows.h"

#include "bench/stats/moderated.h"

namespace nvllm::bench {

namespace {

constexpr std::size_t kRowsMin = 3;

void moderate_class(const std::vector<KernelComparison*>& rows) {
  if (rows.size() < kRowsMin) return;
  std::vector<double> variances, dfs;
  for (const KernelComparison* row : rows) {
    variances.push_back(row->test->summary.sd * row->test->summary.sd);
    dfs.push_back(row->test->summary.df);
  }
  const ModeratedVariances shrunk = moderate(variances, dfs);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i]->moderated =
        moderated_summary(rows[i]->test->summary, shrunk.variances[i], shrunk.dfs[i]);
  }
}

}  // namespace

void add_moderated(std::vector<KernelComparison>& rows) {
  std::vector<KernelComparison*> material, others;
  for (KernelComparison& row : rows) {
    // A folder beside itself has no scatter at all, and borrowed noise none of its own.
    if (!row.test || row.test->summary.noise != NoiseSource::kRounds || row.test->summary.sd <= 0)
      continue;
    (row.material ? material : others).push_back(&row);
  }
  moderate_class(material);
  moderate_class(others);
}

}  // namespace nvllm::bench
