// Each word as its formula reads, in the order of kernels/ops.h.

#include "kernels/reference/reference_ops.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/faults.h"
#include "kernels/reference/formulas.h"

namespace nvllm {

namespace {

using reference::sigmoid, reference::silu, reference::softplus, reference::unit;

void norm_row(double* out, const double* x, std::int64_t width, const NormWeights& norm) {
  NVLLM_CHECK_EQ(static_cast<std::int64_t>(norm.gain.size()), width);
  double sum = 0;
  for (std::int64_t i = 0; i < width; ++i) sum += x[i] * x[i];
  const double scale = 1.0 / std::sqrt(sum / static_cast<double>(width) + norm.epsilon);
  const double offset = norm.style == NormStyle::kZeroCentred ? 1.0 : 0.0;
  for (std::int64_t i = 0; i < width; ++i) {
    out[i] = x[i] * scale * (offset + norm.gain[static_cast<std::size_t>(i)]);
  }
}

double row_dot(const double* x, const float* w, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] * static_cast<double>(w[i]);
  return sum;
}

}  // namespace

ReferenceOps::Matrix ReferenceOps::prepare(const MatrixSource& file) {
  Matrix matrix{file.rows, file.cols, std::vector<float>(static_cast<std::size_t>(file.rows * file.cols))};
  for (std::int64_t row = 0; row < file.rows; ++row) {
    dequantise_row(file, row, std::span(matrix.values).subspan(static_cast<std::size_t>(row * file.cols),
                                                               static_cast<std::size_t>(file.cols)));
  }
  return matrix;
}

void ReferenceOps::embed(View<double> out, const Matrix& table, std::span<const std::int32_t> ids) {
  const LaunchScope scope = announce("embed", {out.rows, out.cols});
  NVLLM_CHECK_EQ(out.rows, static_cast<std::int64_t>(ids.size()));
  NVLLM_CHECK_EQ(out.cols, table.cols);
  for (std::int64_t t = 0; t < out.rows; ++t) {
    const std::int32_t id = ids[static_cast<std::size_t>(t)];
    NVLLM_CHECK(id >= 0 && id < table.rows);
    std::copy_n(table.values.data() + id * table.cols, table.cols, out.row(t));
  }
}

void ReferenceOps::rms_norm(View<double> out, View<const double> x, const NormWeights& norm) {
  const LaunchScope scope = announce("rms_norm", {x.rows, x.cols});
  for (std::int64_t t = 0; t < x.rows; ++t) norm_row(out.row(t), x.row(t), x.cols, norm);
}

void ReferenceOps::head_norm(View<double> x, std::int64_t heads, const NormWeights& norm) {
  const LaunchScope scope = announce("head_norm", {x.rows, x.cols});
  const std::int64_t width = x.cols / heads;
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t h = 0; h < heads; ++h) {
      norm_row(x.row(t) + h * width, x.row(t) + h * width, width, norm);
    }
  }
}

void ReferenceOps::matmul(View<double> out, View<const double> x, const Matrix& w,
                          std::span<const float> bias) {
  const LaunchScope scope = announce("matmul", {x.rows, w.rows, w.cols});
  NVLLM_CHECK_EQ(out.cols, w.rows);
  NVLLM_CHECK_EQ(x.cols, w.cols);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t n = 0; n < w.rows; ++n) {
      const double b = bias.empty() ? 0.0 : bias[static_cast<std::size_t>(n)];
      out.row(t)[n] = row_dot(x.row(t), w.values.data() + n * w.cols, w.cols) + b;
    }
  }
}

void ReferenceOps::logits(View<float> out, View<const double> x, const Matrix& head) {
  const LaunchScope scope = announce("logits", {x.rows, head.rows, head.cols});
  NVLLM_CHECK_EQ(out.cols, head.rows);
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t n = 0; n < head.rows; ++n) {
      out.row(t)[n] = static_cast<float>(row_dot(x.row(t), head.values.data() + n * head.cols, head.cols));
    }
  }
}

void ReferenceOps::add(View<double> residual, View<const double> x) {
  const LaunchScope scope = announce("add", {x.rows, x.cols});
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t i = 0; i < x.cols; ++i) residual.row(t)[i] += x.row(t)[i];
  }
}

void ReferenceOps::swiglu(View<double> out, View<const double> gate, View<const double> up) {
  const LaunchScope scope = announce("swiglu", {out.rows, out.cols});
  for (std::int64_t t = 0; t < out.rows; ++t) {
    for (std::int64_t i = 0; i < out.cols; ++i) out.row(t)[i] = silu(gate.row(t)[i]) * up.row(t)[i];
  }
}

void ReferenceOps::split_gate(View<double> query, View<double> gate, View<const double> both,
                              std::int64_t heads) {
  const LaunchScope scope = announce("split_gate", {both.rows, both.cols});
  const std::int64_t dim = query.cols / heads;
  for (std::int64_t t = 0; t < both.rows; ++t) {
    for (std::int64_t h = 0; h < heads; ++h) {
      std::copy_n(both.row(t) + 2 * h * dim, dim, query.row(t) + h * dim);
      std::copy_n(both.row(t) + (2 * h + 1) * dim, dim, gate.row(t) + h * dim);
    }
  }
}

void ReferenceOps::rotary_angles(View<double> cosine, View<double> sine,
                                 std::span<const Segment> segments,
                                 const RotaryFrequencies& frequencies) {
  const LaunchScope scope = announce("rotary_angles", {}, WorkKind::kHost);
  for (const Segment& segment : segments) {
    for (std::int64_t i = 0; i < segment.token_count; ++i) {
      for (std::size_t j = 0; j < frequencies.inverse.size(); ++j) {
        const double angle = static_cast<double>(segment.start + i) * frequencies.inverse[j];
        cosine.row(segment.first_row + i)[j] = std::cos(angle) * frequencies.magnitude;
        sine.row(segment.first_row + i)[j] = std::sin(angle) * frequencies.magnitude;
      }
    }
  }
}

void ReferenceOps::rope(View<double> x, std::int64_t heads, const AttentionContext<ReferenceOps>& context) {
  const LaunchScope scope = announce("rope", {x.rows, heads * context.shape.rotary_dims});
  const std::int64_t dim = x.cols / heads;
  const std::int64_t half = context.shape.rotary_dims / 2;
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t h = 0; h < heads; ++h) {
      double* v = x.row(t) + h * dim;
      for (std::int64_t j = 0; j < half; ++j) {
        const double c = context.rotary.cosine.row(t)[j], s = context.rotary.sine.row(t)[j];
        const double low = v[j], high = v[j + half];
        v[j] = low * c - high * s;
        v[j + half] = high * c + low * s;
      }
    }
  }
}

void ReferenceOps::write_kv(const AttentionContext<ReferenceOps>& context, View<const double> keys,
                            View<const double> values) {
  const LaunchScope scope = announce("write_kv", {keys.rows, 2 * keys.cols});
  const auto& cache = context.cache;
  for (const Segment& segment : context.segments) {
    for (std::int64_t i = 0; i < segment.token_count; ++i) {
      for (std::int64_t h = 0; h < cache.kv_heads; ++h) {
        const std::int64_t to = cache.offset(segment.blocks, segment.start + i, h);
        const std::int64_t row = segment.first_row + i;
        std::copy_n(keys.row(row) + h * cache.head_dim, cache.head_dim, cache.keys + to);
        std::copy_n(values.row(row) + h * cache.head_dim, cache.head_dim, cache.values + to);
      }
    }
  }
}

void ReferenceOps::paged_attention(View<double> out, View<const double> query,
                                   const AttentionContext<ReferenceOps>& context) {
  const auto& cache = context.cache;
  const AttentionShape& shape = context.shape;
  const LaunchScope scope = announce("paged_attention", {query.rows, out.cols, 2 * shape.kv_heads * shape.head_dim});
  const std::int64_t dim = shape.head_dim;
  const std::int64_t group = shape.heads / shape.kv_heads;
  for (const Segment& segment : context.segments) {
    for (std::int64_t i = 0; i < segment.token_count; ++i) {
      const std::int64_t row = segment.first_row + i;
      const std::int64_t length = segment.start + i + 1;
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        const double* q = query.row(row) + h * dim;
        std::vector<double> weights(static_cast<std::size_t>(length));
        double largest = -INFINITY, sum = 0;
        for (std::int64_t p = 0; p < length; ++p) {
          const double* k = cache.keys + cache.offset(segment.blocks, p, h / group);
          double dot = 0;
          for (std::int64_t d = 0; d < dim; ++d) dot += q[d] * k[d];
          weights[static_cast<std::size_t>(p)] = dot / std::sqrt(static_cast<double>(dim));
          largest = std::max(largest, weights[static_cast<std::size_t>(p)]);
        }
        double* o = out.row(row) + h * dim;
        std::fill_n(o, dim, 0.0);
        for (double& weight : weights) sum += weight = std::exp(weight - largest);
        for (std::int64_t p = 0; p < length; ++p) {
          const double* v = cache.values + cache.offset(segment.blocks, p, h / group);
          for (std::int64_t d = 0; d < dim; ++d) o[d] += weights[static_cast<std::size_t>(p)] / sum * v[d];
        }
      }
    }
  }
}

void ReferenceOps::output_gate(View<double> out, View<const double> gate) {
  const LaunchScope scope = announce("output_gate", {out.rows, out.cols});
  for (std::int64_t t = 0; t < out.rows; ++t) {
    for (std::int64_t i = 0; i < out.cols; ++i) out.row(t)[i] *= sigmoid(gate.row(t)[i]);
  }
}

void ReferenceOps::causal_conv(View<double> out, View<const double> x, std::span<const float> weights,
                               const DeltaContext<ReferenceOps>& context) {
  const LaunchScope scope = announce("causal_conv", {x.rows, x.cols});
  const std::int64_t channels = context.shape.channels();
  const std::int64_t history = context.shape.conv_taps - 1;
  std::vector<double> window(static_cast<std::size_t>(history));  // the inputs before the current one
  for (const Segment& segment : context.segments) {
    double* state = context.state.conv + segment.slot * context.shape.conv_elements();
    const bool has_past = segment.start > 0 || fresh_sequence_reads_its_slot();
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t j = 0; j < history; ++j) {
        window[static_cast<std::size_t>(j)] = has_past ? state[j * channels + c] : 0.0;
      }
      for (std::int64_t i = 0; i < segment.token_count; ++i) {
        const double current = x.row(segment.first_row + i)[c];
        double sum = current * weights[static_cast<std::size_t>(history * channels + c)];
        for (std::int64_t j = 0; j < history; ++j) {
          sum += window[static_cast<std::size_t>(j)] * weights[static_cast<std::size_t>(j * channels + c)];
        }
        out.row(segment.first_row + i)[c] = silu(sum);
        if (history > 0) {
          std::rotate(window.begin(), window.begin() + 1, window.end());
          window.back() = current;
        }
      }
      for (std::int64_t j = 0; j < history; ++j) state[j * channels + c] = window[static_cast<std::size_t>(j)];
    }
  }
}

void ReferenceOps::delta_rule(View<double> out, View<const double> qkv, View<const double> b,
                              View<const double> a, std::span<const float> a_log,
                              std::span<const float> dt_bias, const DeltaContext<ReferenceOps>& context) {
  const LaunchScope scope = announce("delta_rule", {out.rows, out.cols, qkv.cols});
  const DeltaShape& s = context.shape;
  const std::int64_t dk = s.key_dim, dv = s.value_dim, group = s.value_heads / s.key_heads;
  std::vector<double> read(static_cast<std::size_t>(dv));
  for (const Segment& segment : context.segments) {
    for (std::int64_t h = 0; h < s.value_heads; ++h) {
      double* state = context.state.recurrent + segment.slot * s.recurrent_elements() + h * dk * dv;
      if (segment.start == 0 && !fresh_sequence_reads_its_slot()) std::fill_n(state, dk * dv, 0.0);
      for (std::int64_t i = 0; i < segment.token_count; ++i) {
        const double* row = qkv.row(segment.first_row + i);
        const std::vector<double> q = unit(row + (h / group) * dk, dk);
        const std::vector<double> k = unit(row + s.key_heads * dk + (h / group) * dk, dk);
        const double* v = row + 2 * s.key_heads * dk + h * dv;
        const double beta = sigmoid(b.row(segment.first_row + i)[h]);
        const auto head = static_cast<std::size_t>(h);
        const double g = -std::exp(static_cast<double>(a_log[head])) *
                         softplus(a.row(segment.first_row + i)[h] + dt_bias[head]);
        double* o = out.row(segment.first_row + i) + h * dv;
        std::fill_n(o, dv, 0.0);
        std::fill(read.begin(), read.end(), 0.0);
        for (std::int64_t m = 0; m < dk; ++m) {
          for (std::int64_t n = 0; n < dv; ++n) {
            state[m * dv + n] *= std::exp(g);
            read[static_cast<std::size_t>(n)] += k[static_cast<std::size_t>(m)] * state[m * dv + n];
          }
        }
        for (std::int64_t m = 0; m < dk; ++m) {
          for (std::int64_t n = 0; n < dv; ++n) {
            state[m * dv + n] += k[static_cast<std::size_t>(m)] * beta * (v[n] - read[static_cast<std::size_t>(n)]);
            o[n] += q[static_cast<std::size_t>(m)] * state[m * dv + n] / std::sqrt(static_cast<double>(dk));
          }
        }
      }
    }
  }
}

void ReferenceOps::gated_norm(View<double> out, View<const double> x, View<const double> z,
                              std::int64_t heads, const NormWeights& norm) {
  const LaunchScope scope = announce("gated_norm", {x.rows, x.cols});
  const std::int64_t width = x.cols / heads;
  for (std::int64_t t = 0; t < x.rows; ++t) {
    for (std::int64_t h = 0; h < heads; ++h) {
      double* o = out.row(t) + h * width;
      norm_row(o, x.row(t) + h * width, width, norm);
      for (std::int64_t i = 0; i < width; ++i) o[i] *= silu(z.row(t)[h * width + i]);
    }
  }
}

}  // namespace nvllm
