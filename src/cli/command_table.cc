#include "cli/command_table.h"

#include <array>

namespace nvllm::cli {

std::span<const Command> command_table() {
  static constexpr std::array kCommands = {
      Command{"serve", "Serve a model over the OpenAI API", configure_serve},
      Command{"generate", "Continue a text, without a server", configure_generate},
      Command{"chat", "Talk to a model, without a server", configure_chat},
      Command{"bench", "Measure: problems over HTTP, fusion legs", configure_bench},
      Command{"quantize", "Write the NVFP4 form of a checkpoint", configure_quantize},
      Command{"make-model", "Write random weights of a real geometry", configure_make_model},
      Command{"inspect", "Show what a checkpoint holds, what is wrong with it, and what it needs",
              configure_inspect},
      Command{"version", "Show the version and how this binary was built", configure_version},
  };
  return kCommands;
}

}  // namespace nvllm::cli
