#include "arguments.h"

#include <cmath>
#include <limits>

namespace atsss {

namespace {

constexpr double kMaxInt = std::numeric_limits<int>::max();
constexpr double kMaxUint32 = std::numeric_limits<uint32_t>::max();

Napi::TypeError wrong(const Napi::CallbackInfo& info, size_t index, const std::string& expected) {
  return Napi::TypeError::New(info.Env(), "argument " + std::to_string(index + 1) + " must be " + expected);
}

}  // namespace

double integerAt(const Napi::CallbackInfo& info, size_t index, double lowest, double highest) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : std::nan("");
  if (std::trunc(value) != value || !(value >= lowest && value <= highest))
    throw wrong(
        info, index,
        "an integer from " + std::to_string(std::llround(lowest)) + " to " + std::to_string(std::llround(highest)));
  return value;
}

int intAt(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<int>(integerAt(info, index, -kMaxInt - 1, kMaxInt));
}

uint32_t uint32At(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint32_t>(integerAt(info, index, 0, kMaxUint32));
}

uint16_t portAt(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<uint16_t>(integerAt(info, index, 0, 65535));
}

std::vector<int> intsAt(const Napi::CallbackInfo& info, size_t index) {
  const auto array = arrayAt(info, index, napi_int32_array, "an Int32Array").As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

std::string textAt(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsString()) throw wrong(info, index, "a string");
  return info[index].As<Napi::String>().Utf8Value();
}

std::vector<std::string> textsAt(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsArray()) throw wrong(info, index, "an array of strings");
  const auto array = info[index].As<Napi::Array>();
  std::vector<std::string> texts;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value item = array.Get(i);
    if (!item.IsString()) throw wrong(info, index, "an array of strings");
    texts.push_back(item.As<Napi::String>().Utf8Value());
  }
  return texts;
}

bool booleanAt(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsBoolean()) throw wrong(info, index, "a boolean");
  return info[index].As<Napi::Boolean>().Value();
}

Napi::Function functionAt(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsFunction()) throw wrong(info, index, "a function");
  return info[index].As<Napi::Function>();
}

Napi::TypedArray arrayAt(const Napi::CallbackInfo& info, size_t index, napi_typedarray_type type,
                         const char* expected) {
  if (!info[index].IsTypedArray() || info[index].As<Napi::TypedArray>().TypedArrayType() != type)
    throw wrong(info, index, expected);
  return info[index].As<Napi::TypedArray>();
}

Bytes bytesAt(const Napi::CallbackInfo& info, size_t index) {
  const auto array = arrayAt(info, index, napi_uint8_array, "a Uint8Array").As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

}  // namespace atsss
