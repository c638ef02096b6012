#pragma once

#include <string>
#include <string_view>

namespace headrace {

/// UTF-8 text as a JSON string, quoted and escaped.
std::string JsonString(std::string_view text);

}  // namespace headrace
