#pragma once

#include <string>
#include <string_view>

#include "bench/records/call_law.h"
#include "bench/records/kernel_table.h"

namespace nvllm::bench {

/// profile_kernels.csv: the seven columns of the reference, most expensive first, three decimals,
/// the symbol always in quotes.
std::string format_profile_kernels(const KernelTable& table);

/// Reads profile_kernels.csv. `leg` is the config_id of its rows; empty takes that of the first row.
///   Errors: Error(kBadFile) naming `what`, the line and the column: other columns, another leg, a
///           symbol twice, a number that is none, negative or contradicts the others.
KernelTable parse_profile_kernels(std::string_view text, std::string_view what, std::string_view leg);

/// kernels.csv: the rich form. A field that is not known stays empty. `laws` may be null.
std::string format_kernels(const KernelTable& table, const LawReport* laws);

/// Reads what format_kernels wrote; the law columns are left out, since they follow from the counts.
///   Errors: Error(kBadFile) as above.
KernelTable parse_kernels(std::string_view text, std::string_view what, std::string_view leg);

/// The 64-bit name of a kernel in kernels.csv: the beginning of SHA-256 of kernel_key(row).
std::string kernel_id(const KernelRow& row);

}  // namespace nvllm::bench
