# nvllm_embed(TARGET NAME FILE...) makes the bytes of each FILE constants of TARGET, declared by src/server/page.h's like:
# `extern const std::string_view NAME_<file name with _ for .>;` in namespace nvllm::embedded.
function(nvllm_embed target name)
  set(source "// Made from files by cmake/nvllm_embed.cmake.\n#include <string_view>\n\nnamespace nvllm::embedded {\n")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
    get_filename_component(base ${file} NAME)
    string(MAKE_C_IDENTIFIER ${base} identifier)
    string(APPEND source "namespace {\nconstexpr char k_${identifier}[] = {${bytes}};\n}\n"
                         "extern const std::string_view ${name}_${identifier};\n"
                         "const std::string_view ${name}_${identifier}(k_${identifier}, sizeof(k_${identifier}));\n")
  endforeach()
  string(APPEND source "}  // namespace nvllm::embedded\n")
  set(output ${CMAKE_BINARY_DIR}/embedded/${name}.cc)
  file(CONFIGURE OUTPUT ${output} CONTENT "${source}" @ONLY)
  target_sources(${target} PRIVATE ${output})
endfunction()
