#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "base/check.h"

namespace nvllm {

/// A borrowed row-major matrix. Rows are `stride` elements apart, so that a view can name some of
/// the columns of a wider one. The owner must outlive the view; views are not stored.
template <class T>
struct View {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  View() = default;
  View(T* first, std::int64_t row_count, std::int64_t col_count)
      : data(first), rows(row_count), cols(col_count), stride(col_count) {}
  View(T* first, std::int64_t row_count, std::int64_t col_count, std::int64_t row_stride)
      : data(first), rows(row_count), cols(col_count), stride(row_stride) {}
  /// A view of constants from a view of the same elements.
  template <class U>
    requires std::is_same_v<const U, T>
  View(const View<U>& other)  // NOLINT(google-explicit-constructor): as span<const T> from span<T>
      : data(other.data), rows(other.rows), cols(other.cols), stride(other.stride) {}

  T* row(std::int64_t index) const {
    NVLLM_DCHECK(index >= 0 && index < rows);
    return data + index * stride;
  }
  /// The first `count` rows.
  View first(std::int64_t count) const { return {data, count, cols, stride}; }
  /// Columns [begin, begin + count) of every row.
  View columns(std::int64_t begin, std::int64_t count) const {
    return {data + begin, rows, count, stride};
  }
};

}  // namespace nvllm
