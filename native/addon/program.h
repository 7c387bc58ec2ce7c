// This process becomes another program.
#pragma once

#include <string>
#include <vector>

namespace atsss {

/**
 * execvp(3), with the environment of this process. Puts back what Node has changed for itself and programs inherit: the
 * signals that it ignores, and the flags of standard streams. Returns only by throwing.
 */
[[noreturn]] void becomeProgram(const std::string& file, const std::vector<std::string>& arguments);

}  // namespace atsss
