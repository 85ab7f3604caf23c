#include "kernels/cuda/cublaslt.h"

#include <cublasLt.h>
#include <dlfcn.h>

#include <map>
#include <tuple>

#include "kernels/cuda/check.cuh"

namespace nvllm::cuda {

namespace {

void require(cublasStatus_t status, const char* doing) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ErrorKind::kDevice, std::string(doing) + ": cuBLASLt says " + std::to_string(static_cast<int>(status)));
}

/// Whatever of the shape an algorithm may depend on.
using Shape = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, ProductType, std::int64_t>;

struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, out = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
};

}  // namespace

struct CublasLt::Library {
  decltype(&::cublasLtCreate) create = nullptr;
  decltype(&::cublasLtDestroy) destroy = nullptr;
  decltype(&::cublasLtMatmul) matmul = nullptr;
  decltype(&::cublasLtMatmulDescCreate) make_product = nullptr;
  decltype(&::cublasLtMatmulDescDestroy) free_product = nullptr;
  decltype(&::cublasLtMatmulDescSetAttribute) set_product = nullptr;
  decltype(&::cublasLtMatrixLayoutCreate) make_layout = nullptr;
  decltype(&::cublasLtMatrixLayoutDestroy) free_layout = nullptr;
  decltype(&::cublasLtMatmulPreferenceCreate) make_preference = nullptr;
  decltype(&::cublasLtMatmulPreferenceDestroy) free_preference = nullptr;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) choose = nullptr;
  cublasLtHandle_t handle = nullptr;
  std::map<Shape, Plan> plans;

  ~Library() {
    for (auto& [shape, plan] : plans) {
      free_layout(plan.w);
      free_layout(plan.x);
      free_layout(plan.out);
      free_product(plan.product);
    }
    if (handle != nullptr) destroy(handle);
  }

  /// False if the library lacks a function.
  bool find(void* opened) {
    bool all = true;
    const auto one = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(opened, name));
      all = all && function != nullptr;
    };
    one(create, "cublasLtCreate");
    one(destroy, "cublasLtDestroy");
    one(matmul, "cublasLtMatmul");
    one(make_product, "cublasLtMatmulDescCreate");
    one(free_product, "cublasLtMatmulDescDestroy");
    one(set_product, "cublasLtMatmulDescSetAttribute");
    one(make_layout, "cublasLtMatrixLayoutCreate");
    one(free_layout, "cublasLtMatrixLayoutDestroy");
    one(make_preference, "cublasLtMatmulPreferenceCreate");
    one(free_preference, "cublasLtMatmulPreferenceDestroy");
    one(set_preference, "cublasLtMatmulPreferenceSetAttribute");
    one(choose, "cublasLtMatmulAlgoGetHeuristic");
    return all;
  }

  const Plan& plan_for(const DenseProduct& p, std::int64_t workspace_bytes) {
    const Shape shape{p.tokens, p.rows, p.cols, p.out_stride, p.x_stride, p.w_stride, p.type, workspace_bytes};
    if (const auto found = plans.find(shape); found != plans.end()) return found->second;
    // The library counts columns first: it makes outᵀ = W · xᵀ, of matrices that are each transposed as they lie.
    Plan& plan = plans[shape];
    const auto u = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
    require(make_product(&plan.product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describing a product");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    require(set_product(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed), "describing a product");
    require(make_layout(&plan.w, CUDA_R_16BF, u(p.cols), u(p.rows), p.w_stride), "describing weights");
    require(make_layout(&plan.x, CUDA_R_16BF, u(p.cols), u(p.tokens), p.x_stride), "describing activations");
    const cudaDataType_t type = p.type == ProductType::kBf16 ? CUDA_R_16BF : CUDA_R_32F;
    require(make_layout(&plan.out, type, u(p.rows), u(p.tokens), p.out_stride), "describing a result");
    cublasLtMatmulPreference_t preference = nullptr;
    require(make_preference(&preference), "asking for an algorithm");
    const auto bytes = static_cast<std::size_t>(workspace_bytes);
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    cublasStatus_t status = set_preference(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
    if (status == CUBLAS_STATUS_SUCCESS) {
      status = choose(handle, plan.product, plan.w, plan.x, plan.out, plan.out, preference, 1, &result, &found);
    }
    free_preference(preference);
    require(status, "asking for an algorithm");
    if (found == 0) throw Error(ErrorKind::kDevice, "cuBLASLt knows no algorithm for a product");
    plan.algorithm = result.algo;
    return plan;
  }
};

CublasLt::CublasLt() {
  void* opened = dlopen("libcublasLt.so.13", RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) opened = dlopen("libcublasLt.so", RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    const char* reason = dlerror();
    why_not_ = std::string("cuBLASLt cannot be opened: ") + (reason != nullptr ? reason : "unknown");
    return;
  }
  auto library = std::make_unique<Library>();  // the library itself stays open as long as the program
  if (!library->find(opened)) {
    why_not_ = "the cuBLASLt found is of another version";
    return;
  }
  if (library->create(&library->handle) != CUBLAS_STATUS_SUCCESS) {
    library->handle = nullptr;
    why_not_ = "cuBLASLt does not start on this device";
    return;
  }
  library_ = std::move(library);
}

CublasLt::CublasLt(CublasLt&&) noexcept = default;
CublasLt& CublasLt::operator=(CublasLt&&) noexcept = default;
CublasLt::~CublasLt() = default;

void CublasLt::multiply(const DenseProduct& p, void* workspace, std::int64_t workspace_bytes, cudaStream_t stream) {
  NVLLM_CHECK(usable());
  const Plan& plan = library_->plan_for(p, workspace_bytes);
  const float one = 1, zero = 0;
  require(library_->matmul(library_->handle, plan.product, &one, p.w, plan.w, p.x, plan.x, &zero, p.out, plan.out, p.out, plan.out,
                           &plan.algorithm, workspace, static_cast<std::size_t>(workspace_bytes), stream),
          "a product");
}

}  // namespace nvllm::cuda
