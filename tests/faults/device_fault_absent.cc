#include "faults/planted_faults.h"

namespace nvllm::test {

void queue_device_fault(void* /*stream*/) {}  // a program without CUDA has no step of a GPU

}  // namespace nvllm::test
