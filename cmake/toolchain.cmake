# Compiler settings shared by every room.
add_library(nvllm_settings INTERFACE)
target_compile_features(nvllm_settings INTERFACE cxx_std_20)
target_include_directories(nvllm_settings INTERFACE ${CMAKE_SOURCE_DIR}/src)
# Beast's coroutine header does not compile under g++ 12; net uses callbacks only.
target_compile_definitions(nvllm_settings INTERFACE BOOST_ASIO_DISABLE_CO_AWAIT)
# What follows is for the host compiler; cmake/cuda.cmake has the CUDA compiler's flags.
target_compile_options(nvllm_settings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow>")
# One request, one set of bits: the compiler may not contract a*b+c on its own, because whether it
# does depends on inlining. Fused multiply-adds are written where they are meant.
target_compile_options(nvllm_settings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)
if(NVLLM_WERROR)
  target_compile_options(nvllm_settings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(NVLLM_SANITIZE)
  target_compile_options(nvllm_settings INTERFACE -fsanitize=${NVLLM_SANITIZE}
                         -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(nvllm_settings INTERFACE -fsanitize=${NVLLM_SANITIZE})
endif()
if(NVLLM_FUZZ)  # coverage feedback in every room; main() comes with the targets only
  target_compile_options(nvllm_settings INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(NVLLM_CCACHE ccache)
if(NVLLM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${NVLLM_CCACHE})
endif()
# The oldest x86 processor that runs nvllm has SSE4.2, AES and PCLMUL (2010); wider vectors are chosen
# at run time. Without a baseline Highway would also compile every kernel for one lane.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(nvllm_settings INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-msse4.2;-maes;-mpclmul>")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  # Vectors without a size cannot be kept in arrays, and the kernels keep their sums there: NEON only.
  target_compile_definitions(nvllm_settings INTERFACE
                             "HWY_DISABLED_TARGETS=(HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)")
endif()
