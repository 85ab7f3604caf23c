#include "bench/report/markdown_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace nvllm::bench {

namespace {

/// Replaces pairs of `mark` by an element.
std::string paired(std::string text, std::string_view mark, std::string_view element) {
  std::size_t at = 0;
  while (true) {
    const std::size_t open = text.find(mark, at);
    const std::size_t close =
        open == std::string::npos ? open : text.find(mark, open + mark.size());
    if (close == std::string::npos) return text;
    const std::string inner = text.substr(open + mark.size(), close - open - mark.size());
    const std::string made = fmt::format("<{0}>{1}</{0}>", element, inner);
    text.replace(open, close + mark.size() - open, made);
    at = open + made.size();
  }
}

std::string inline_html(std::string_view text) {
  std::string html = paired(paired(escape_html(text), "**", "strong"), "`", "code");
  constexpr std::string_view kBreak = "&lt;br&gt;";
  for (std::size_t at = html.find(kBreak); at != std::string::npos; at = html.find(kBreak, at))
    html.replace(at, kBreak.size(), "<br>");
  return html;
}

/// The cells of "| a | b |"; "\|" is a bar inside one.
std::vector<std::string> cells(std::string_view line) {
  std::vector<std::string> found;
  std::string cell;
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '|') {
      cell += line[++i];
    } else if (line[i] == '|') {
      const std::size_t first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
      found.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
      cell.clear();
    } else {
      cell += line[i];
    }
  }
  return found;
}

/// What is open at the present line.
enum class Block { kNone, kTable, kList, kCode, kQuote, kParagraph };

class Converter {
 public:
  void line(std::string_view text) {
    if (text.starts_with("```")) return toggle_code();
    if (block_ == Block::kCode) {
      html_ += escape_html(text) + "\n";
    } else if (text.empty()) {
      close();
    } else if (text.starts_with("# ") || text.starts_with("## ")) {
      close();
      const std::size_t level = text.find(' ');
      html_ += fmt::format("<h{0}>{1}</h{0}>\n", level, inline_html(text.substr(level + 1)));
    } else if (text.starts_with("| ")) {
      table_row(text);
    } else if (text.starts_with("- ")) {
      open(Block::kList, "<ul>\n");
      list_item(text.substr(2));
    } else if (text.starts_with('>')) {
      if (block_ == Block::kQuote) html_ += "<br>";
      open(Block::kQuote, "<blockquote>");
      html_ += inline_html(text.substr(text.starts_with("> ") ? 2 : 1)) + "\n";
    } else {
      if (block_ == Block::kParagraph) html_ += "<br>";
      open(Block::kParagraph, "<p>");
      html_ += inline_html(text) + "\n";
    }
  }

  std::string finish() {
    close();
    return std::move(html_);
  }

 private:
  void open(Block block, std::string_view tag) {
    if (block_ == block) return;
    close();
    block_ = block;
    html_ += tag;
  }

  void close() {
    switch (block_) {
      case Block::kTable:
        html_ += "</table></div>\n";
        break;
      case Block::kList:
        html_ += "</ul>\n";
        break;
      case Block::kCode:
        html_ += "</pre>\n";
        break;
      case Block::kQuote:
        html_ += "</blockquote>\n";
        break;
      case Block::kParagraph:
        html_ += "</p>\n";
        break;
      case Block::kNone:
        break;
    }
    block_ = Block::kNone;
  }

  void toggle_code() {
    if (block_ == Block::kCode) return close();
    open(Block::kCode, "<pre>");
  }

  void table_row(std::string_view text) {
    const bool head = block_ != Block::kTable;
    open(Block::kTable, "<div class=\"wide\"><table>\n");
    const std::vector<std::string> found = cells(text);
    if (text.starts_with("| ---")) {
      right_.clear();
      for (const std::string& cell : found) right_.push_back(cell.ends_with(':'));
      return;
    }
    html_ += "<tr>";
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool right = !head && i < right_.size() && right_[i];
      html_ += fmt::format("<{0}{1}>{2}</{0}>", head ? "th" : "td", right ? " class=\"n\"" : "",
                           inline_html(found[i]));
    }
    html_ += "</tr>\n";
  }

  void list_item(std::string_view text) {
    // A ballot box, so that a tick is seen in print too.
    if (text.starts_with("[x] ")) {
      html_ += fmt::format("<li>&#9745; {}</li>\n", inline_html(text.substr(4)));
    } else if (text.starts_with("[ ] ")) {
      html_ += fmt::format("<li>&#9744; {}</li>\n", inline_html(text.substr(4)));
    } else {
      html_ += fmt::format("<li>{}</li>\n", inline_html(text));
    }
  }

  Block block_ = Block::kNone;
  std::vector<bool> right_;  ///< which columns of the open table are set to the right
  std::string html_;
};

}  // namespace

std::string escape_html(std::string_view text) {
  std::string html;
  for (const char c : text) {
    if (c == '&') {
      html += "&amp;";
    } else if (c == '<') {
      html += "&lt;";
    } else if (c == '>') {
      html += "&gt;";
    } else if (c == '"') {
      html += "&quot;";
    } else {
      html += c;
    }
  }
  return html;
}

std::string html_from_markdown(std::string_view markdown) {
  Converter converter;
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find('\n'), markdown.size());
    converter.line(markdown.substr(0, end));
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
  }
  return converter.finish();
}

}  // namespace nvllm::bench
