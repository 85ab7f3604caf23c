// One chunk of n tokens of one value head, with unit keys K̂ and queries Q̂, decays e^g, and S the state
// before it. D_ij is the decay from token j to token i ≥ j, d_i that from before the chunk to token i.
//
//   M_ij = β_i (k̂_i · k̂_j) D_ij for j < i       what token i reads of token j's write
//   (I + M) U = diag(β) V                       corrected values, were the state empty
//   (I + M) W = diag(β d) K̂                     what they read of the state
//   N  = U - W S                                corrected values
//   O  = diag(d) Q̂ S + ((Q̂ K̂ᵀ) ⊙ D) N
//   S' = d_n S + (diag(D_n) K̂)ᵀ N
//
// D is a running product. The usual exp(G_i - G_j) of prefix sums G of g is the same on paper, but after
// one strong decay it is a difference of two large numbers: at G = -1000 a float has lost 6e-5 of it.
// (On the inputs of the tests, in double, prefix sums are 400 times as far from the recurrence.)

#include "kernels/reference/gated_delta_chunked.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/faults.h"
#include "kernels/reference/formulas.h"

namespace nvllm {

namespace {

/// A small row-major matrix of its own.
class Rows {
 public:
  Rows(std::int64_t rows, std::int64_t cols) : cols_(cols), data_(static_cast<std::size_t>(rows * cols), 0.0) {}
  double* operator[](std::int64_t row) { return data_.data() + row * cols_; }
  const double* operator[](std::int64_t row) const { return data_.data() + row * cols_; }

 private:
  std::int64_t cols_;
  std::vector<double> data_;
};

double dot(const double* x, const double* y, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

/// y += factor * x.
void add_scaled(double* y, double factor, const double* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] += factor * x[i];
}

/// y += factor * x · S, with S [inner, cols].
void add_product(double* y, double factor, const double* x, const double* s, std::int64_t inner, std::int64_t cols) {
  for (std::int64_t m = 0; m < inner; ++m) add_scaled(y, factor * x[m], s + m * cols, cols);
}

/// The inputs of one chunk of one value head.
struct Chunk {
  std::int64_t tokens, key_dim, value_dim;
  Rows query, key, value;          ///< [tokens, key_dim or value_dim]; queries carry 1 / sqrt(key_dim)
  std::vector<double> beta;        ///< [tokens]
  std::vector<double> from_start;  ///< [tokens]: d
  Rows decay;                      ///< [tokens, tokens]: D, zero above the diagonal

  Chunk(std::int64_t n, std::int64_t dk, std::int64_t dv)
      : tokens(n), key_dim(dk), value_dim(dv), query(n, dk), key(n, dk), value(n, dv),
        beta(static_cast<std::size_t>(n)), from_start(static_cast<std::size_t>(n)), decay(n, n) {}

  double beta_of(std::int64_t i) const { return beta[static_cast<std::size_t>(i)]; }
  double from_start_of(std::int64_t i) const { return from_start[static_cast<std::size_t>(i)]; }
};

/// Rows [row, row + tokens) of the step as value head `head` sees them.
Chunk take_chunk(std::int64_t row, std::int64_t tokens, std::int64_t head, View<const double> qkv, View<const double> b,
                 View<const double> a, double a_log, double dt_bias, const DeltaShape& shape) {
  const std::int64_t dk = shape.key_dim, key_head = head / (shape.value_heads / shape.key_heads);
  Chunk chunk(tokens, dk, shape.value_dim);
  double since_start = 1.0;
  for (std::int64_t i = 0; i < tokens; ++i) {
    const double* x = qkv.row(row + i);
    std::ranges::copy(reference::unit(x + key_head * dk, dk), chunk.query[i]);
    for (std::int64_t m = 0; m < dk; ++m) chunk.query[i][m] /= std::sqrt(static_cast<double>(dk));
    std::ranges::copy(reference::unit(x + (shape.key_heads + key_head) * dk, dk), chunk.key[i]);
    std::copy_n(x + 2 * shape.key_heads * dk + head * shape.value_dim, shape.value_dim, chunk.value[i]);
    chunk.beta[static_cast<std::size_t>(i)] = reference::sigmoid(b.row(row + i)[head]);
    const double fade = std::exp(-std::exp(a_log) * reference::softplus(a.row(row + i)[head] + dt_bias));
    chunk.from_start[static_cast<std::size_t>(i)] = since_start *= fade;
    for (std::int64_t j = 0; j < i; ++j) chunk.decay[i][j] = chunk.decay[i - 1][j] * fade;
    chunk.decay[i][i] = 1.0;
  }
  return chunk;
}

/// Solves (I + M) X = right side in place, from the first row down.
void substitute(Rows& x, std::int64_t cols, const Rows& m, std::int64_t tokens) {
  for (std::int64_t i = 0; i < tokens; ++i) {
    for (std::int64_t j = 0; j < i; ++j) add_scaled(x[i], -m[i][j], x[j], cols);
  }
}

/// N: the values to be written, after what is already known under their keys is taken off.
Rows corrected_values(const Chunk& c, const double* state) {
  const std::int64_t n = c.tokens, dk = c.key_dim, dv = c.value_dim;
  Rows m(n, n), u(n, dv), w(n, dk);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < i; ++j) m[i][j] = c.beta_of(i) * dot(c.key[i], c.key[j], dk) * c.decay[i][j];
    add_scaled(u[i], c.beta_of(i), c.value[i], dv);
    add_scaled(w[i], c.beta_of(i) * c.from_start_of(i), c.key[i], dk);
  }
  substitute(u, dv, m, n);
  substitute(w, dk, m, n);
  for (std::int64_t i = 0; i < n; ++i) add_product(u[i], -1.0, w[i], state, dk, dv);
  return u;
}

/// Output `i` of the chunk.
void read_out(double* out, const Chunk& c, std::int64_t i, const Rows& values, const double* state) {
  std::fill_n(out, c.value_dim, 0.0);
  add_product(out, c.from_start_of(i), c.query[i], state, c.key_dim, c.value_dim);
  for (std::int64_t j = 0; j <= i; ++j) {
    add_scaled(out, dot(c.query[i], c.key[j], c.key_dim) * c.decay[i][j], values[j], c.value_dim);
  }
}

void advance(double* state, const Chunk& c, const Rows& values) {
  const std::int64_t last = c.tokens - 1, dv = c.value_dim;
  for (std::int64_t i = 0; i < c.key_dim * dv; ++i) state[i] *= c.from_start_of(last);
  for (std::int64_t j = 0; j < c.tokens; ++j) {
    for (std::int64_t m = 0; m < c.key_dim; ++m) {
      add_scaled(state + m * dv, c.decay[last][j] * c.key[j][m], values[j], dv);
    }
  }
}

}  // namespace

void delta_rule_chunked(View<double> out, View<const double> qkv, View<const double> b, View<const double> a,
                        std::span<const float> a_log, std::span<const float> dt_bias,
                        const DeltaContext<ReferenceOps>& context, std::int64_t chunk_tokens) {
  const DeltaShape& s = context.shape;
  NVLLM_CHECK_GE(chunk_tokens, 1);
  NVLLM_CHECK_EQ(qkv.cols, s.channels());
  NVLLM_CHECK_EQ(out.cols, s.value_heads * s.value_dim);
  NVLLM_CHECK(b.cols == s.value_heads && a.cols == s.value_heads);
  NVLLM_CHECK(std::ssize(a_log) == s.value_heads && std::ssize(dt_bias) == s.value_heads);
  for (const Segment& segment : context.segments) {
    for (std::int64_t h = 0; h < s.value_heads; ++h) {
      const auto head = static_cast<std::size_t>(h);
      const std::int64_t size = s.key_dim * s.value_dim;
      double* state = context.state.recurrent + segment.slot * s.recurrent_elements() + h * size;
      if (segment.start == 0 && !fresh_sequence_reads_its_slot()) std::fill_n(state, size, 0.0);
      for (std::int64_t at = 0; at < segment.token_count; at += chunk_tokens) {
        const std::int64_t row = segment.first_row + at, tokens = std::min(chunk_tokens, segment.token_count - at);
        const Chunk chunk = take_chunk(row, tokens, h, qkv, b, a, a_log[head], dt_bias[head], s);
        const Rows values = corrected_values(chunk, state);
        for (std::int64_t i = 0; i < tokens; ++i) read_out(out.row(row + i) + h * s.value_dim, chunk, i, values, state);
        advance(state, chunk, values);
      }
    }
  }
}

}  // namespace nvllm
