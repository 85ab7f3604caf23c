#include "bench/records/kernel_name.h"

#include <gtest/gtest.h>

#include <string>

namespace nvllm::bench {
namespace {

TEST(KernelName, FindsTheThreePhrasesInsideLongAndMangledNames) {
  EXPECT_EQ(short_kernel_name("DecodeKernel"), "DecodeKernel");
  EXPECT_EQ(short_kernel_name("kernel_cutlass__kernel_vllmv1attentionbackendscute_pagedkernelDecodeKernel_object_at__"),
            "DecodeKernel");
  EXPECT_EQ(short_kernel_name("kernel_cutlass__kernel_phase_0_to_4_cute_pagedphase_e_kernelPhaseE_Beta_Kernel_object"),
            "PhaseE_Beta_Kernel");
  EXPECT_EQ(short_kernel_name("_ZN5nvllm4cuda18Phase_D_MLP_KernelILi8EEEvPKf"), "Phase_D_MLP_Kernel");
  EXPECT_EQ(short_kernel_name("void nvllm::DecodeKernel<128>(float const*)"), "DecodeKernel");
}

TEST(KernelName, DoesNotTakeAnotherWordForAPhrase) {
  EXPECT_NE(short_kernel_name("BatchDecodeKernel"), "DecodeKernel");
  EXPECT_NE(short_kernel_name("DecodeKernelV2"), "DecodeKernel");
  EXPECT_NE(short_kernel_name("void MLADecodeKernel<64>(int)"), "DecodeKernel");
}

TEST(KernelName, LeavesAPlainNameAsItIs) {
  EXPECT_EQ(short_kernel_name("memcpy32_post"), "memcpy32_post");
  EXPECT_EQ(short_kernel_name("triton_poi_fused_zeros_2"), "triton_poi_fused_zeros_2");
  EXPECT_EQ(short_kernel_name("Memcpy HtoD (Pinned -> Device)"), "Memcpy HtoD (Pinned -> Device)");
}

TEST(KernelName, CutsReturnTypeParametersAndTemplatesAndKeepsDifferentKernelsApart) {
  const std::string four = short_kernel_name("void at::native::foo_kernel<4, std::array<char*, 1ul> >(int, float)");
  const std::string two = short_kernel_name("void at::native::foo_kernel<2, std::array<char*, 1ul> >(int, float)");
  EXPECT_EQ(four.substr(0, 11), "foo_kernel#");
  EXPECT_EQ(four.size(), 17u);
  EXPECT_EQ(two.substr(0, 11), "foo_kernel#");
  EXPECT_NE(four, two);
  EXPECT_TRUE(short_kernel_name("std::enable_if<!(false), void>::type internal::gemvx::kernel<int, 7>(P<int>)")
                  .starts_with("gemvx::kernel#"));
  EXPECT_TRUE(short_kernel_name("void (anonymous namespace)::softmax_warp_forward<float, 5>(float*, int)")
                  .starts_with("softmax_warp_forward#"));
  EXPECT_TRUE(short_kernel_name("_ZN7cutlass13device_kernelINS_4fooEEEvT_").starts_with("cutlass::device_kernel#"));
  EXPECT_TRUE(short_kernel_name("_ZN7cutlass13device_kernelI4GemmN12float_e2m1_tEEEv").starts_with("nvfp4_gemm#"));
}

TEST(KernelName, IsNeverLongerThanSixtyCharacters) {
  const std::string name =
      "triton_poi_fused__to_copy_add_cat_clone_mean_mul_pow_rsqrt_slice_split_split_with_sizes_view_";
  EXPECT_EQ(short_kernel_name(name + "8").size(), 60u);
  EXPECT_NE(short_kernel_name(name + "8"), short_kernel_name(name + "9"));
}

TEST(KernelName, IsNotCutInsideOfACharacter) {
  const std::string shortened = short_kernel_name(std::string(52, 'x') + "\xc3\xa9" + std::string(30, 'y'));
  EXPECT_EQ(shortened.find('#'), 52u);
  EXPECT_EQ(shortened.find('\xc3'), std::string::npos);
}

TEST(KernelName, ForgetsAddressesBecauseTheyChangeFromRunToRun) {
  EXPECT_EQ(short_kernel_name("kernel_cutlass_gemm_A_object_at_0x7f12ab34cd56_x"),
            short_kernel_name("kernel_cutlass_gemm_A_object_at_0x7fffeeee0000_x"));
  EXPECT_NE(normalised_kernel_name("kernel_object_at_0x7f12ab34cd56_x"),
            normalised_kernel_name("kernel_object_at_0x7f12ab34cd56_y"));
  EXPECT_EQ(normalised_kernel_name("gemm_0x12"), "gemm_0x12");
}

TEST(KernelName, SurvivesNamesThatAreNone) {
  for (const char* name : {"", "(", ")", "<<<", ">>", "a<b", "_Z", "_ZN", "_ZN99999999999999999999x", "_ZN3", " (",
                           "a b(", "operator<(int)", "_Z0", "void f(", "x::", "::", "#"}) {
    EXPECT_LE(short_kernel_name(name).size(), 60u) << name;
    EXPECT_EQ(short_kernel_name(name), short_kernel_name(name));
  }
}

TEST(KernelName, IsClassifiedByItsWords) {
  EXPECT_EQ(to_string(classify_kernel("DecodeKernel")), "attn");
  EXPECT_EQ(to_string(classify_kernel("internal::gemvx::kernel<int>")), "gemv");
  EXPECT_EQ(to_string(classify_kernel("nvjet_sm121_tst_mma_128x96x64")), "gemm");
  EXPECT_EQ(to_string(classify_kernel("void vllm::cvt_fp16_to_fp4<bf16>(int)")), "quant");
  EXPECT_EQ(to_string(classify_kernel("Memset (Device)")), "mem");
  EXPECT_EQ(to_string(classify_kernel("something")), "other");
}

}  // namespace
}  // namespace nvllm::bench
