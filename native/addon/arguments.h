// What JavaScript passes, as C++ has it. TypeScript has checked what arguments mean: here they are only made sure not
// to crash the process. Each throws a TypeError.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "sockets.h"

namespace atsss {

constexpr double kMaxSafeInteger = 9007199254740991;

double integerAt(const Napi::CallbackInfo& info, size_t index, double lowest, double highest);
int intAt(const Napi::CallbackInfo& info, size_t index);
uint32_t uint32At(const Napi::CallbackInfo& info, size_t index);
uint16_t portAt(const Napi::CallbackInfo& info, size_t index);
/** Of an Int32Array. */
std::vector<int> intsAt(const Napi::CallbackInfo& info, size_t index);
std::string textAt(const Napi::CallbackInfo& info, size_t index);
std::vector<std::string> textsAt(const Napi::CallbackInfo& info, size_t index);
bool booleanAt(const Napi::CallbackInfo& info, size_t index);
Napi::Function functionAt(const Napi::CallbackInfo& info, size_t index);
Napi::TypedArray arrayAt(const Napi::CallbackInfo& info, size_t index, napi_typedarray_type type, const char* expected);
Bytes bytesAt(const Napi::CallbackInfo& info, size_t index);

}  // namespace atsss
