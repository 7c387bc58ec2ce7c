// Files that a process removes when a signal ends it.
#pragma once

#include <string>
#include <vector>

namespace atsss {

/**
 * Removes the file, as it is now, before one of these signals ends the process: in the handler, so that a busy event
 * loop delays nothing. The signal is then handled as before. A signal that is ignored stays so.
 *
 * @returns the number to forget it by; -1: there is no room for it, or no such file
 */
int removeAtSignal(const std::string& path, const std::vector<int>& signals);

/** It is removed by other means, or not at all. */
void forgetAtSignal(int number);

}  // namespace atsss
