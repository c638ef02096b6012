#include "headrace/operators/widened_state.h"

#include <algorithm>

#include "headrace/state/keyed_state_migration.h"
#include "headrace/types/type_text.h"

namespace headrace {
namespace {

constexpr std::string_view kDelimiters = "(),:<> ";

// Takes the next word off the text, or the delimiter that it starts with.
std::string_view NextToken(std::string_view* text) {
  const size_t end = std::min(text->size(), text->find_first_of(kDelimiters));
  const std::string_view token = text->substr(0, std::max<size_t>(end, 1));
  text->remove_prefix(token.size());
  return token;
}

bool Widens(std::string_view from, std::string_view to) {
  const Result<DataTypePtr> former = ParseTypeText(from);
  const Result<DataTypePtr> type = ParseTypeText(to);
  if (!former.ok() || !type.ok() || (*former)->kind() > (*type)->kind()) return false;
  return ((*former)->is_integer() && (*type)->is_integer()) ||
         ((*former)->is_floating() && (*type)->is_floating());
}

}  // namespace

bool OnlyWidens(std::string_view stored, std::string_view declared) {
  // A type stands behind one of these, a name of a field or function does not.
  bool type_follows = false;
  while (!stored.empty() && !declared.empty()) {
    const std::string_view from = NextToken(&stored);
    const std::string_view to = NextToken(&declared);
    if (from != to && !(type_follows && Widens(from, to))) return false;
    const bool space = to == " ";
    type_follows = to == "(" || (space && type_follows) || to == ":";
  }
  return stored.empty() && declared.empty();
}

void AdoptWidened(KeyedState* state, std::string_view name, std::string_view fingerprint) {
  const UnclaimedState stored = FindUnclaimed(*state, name);
  if (stored.fingerprint.empty() || stored.fingerprint == fingerprint) return;
  if (OnlyWidens(stored.fingerprint, fingerprint)) RenameType(state, name, fingerprint);
}

}  // namespace headrace
