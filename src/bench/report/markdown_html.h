#pragma once

#include <string>
#include <string_view>

namespace nvllm::bench {

/// A text as HTML shows it: & < > " become entities.
std::string escape_html(std::string_view text);

/// The HTML of Markdown as our own reports write it: headings, tables, lists with boxes, code
/// blocks, quotations, paragraphs, **strong**, `code`, and <br> between lines of a cell. Everything
/// else is escaped, so that a kernel's name can never become markup.
std::string html_from_markdown(std::string_view markdown);

}  // namespace nvllm::bench
