#!/bin/sh
# Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer into build-asan, and runs tests with it.
# The first finding ends the process it is found in, and so fails the test.
#
#   test/native/sanitize.sh [what vitest takes; without arguments: the tests of the addon]
set -eu
cd "$(dirname "$0")/../.."

# In the flags of the build type: cmake-js sets CMAKE_CXX_FLAGS itself, after whatever it is given.
flags='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
# All sources of a file as one: half the time, most of which goes into headers.
node_modules/.bin/cmake-js configure -d native -O build-asan --CDCMAKE_CXX_FLAGS_RELEASE="$flags" --CDCMAKE_UNITY_BUILD=ON
node_modules/.bin/cmake-js build -d native -O build-asan --CDCMAKE_CXX_FLAGS_RELEASE="$flags"

export ATSSS_ADDON="$PWD/build-asan/Release/atsss.node"
export ATSSS_HELPER="$PWD/build-asan/Release/atsss-helper"
for symbol in __asan_init __ubsan_handle; do
  nm -D "$ATSSS_ADDON" | grep -q "$symbol" || { echo "$ATSSS_ADDON is built without $symbol" >&2; exit 1; }
done

[ $# -gt 0 ] || set -- --project unit test/native
echo "vitest run $*"
echo "  with $ATSSS_ADDON ($flags)"

# The leaks of Node itself, which is not built so, would drown ours: test/native counts descriptors and waits instead.
export ASAN_OPTIONS=detect_leaks=0
export UBSAN_OPTIONS=print_stacktrace=1
LD_PRELOAD="$(c++ -print-file-name=libasan.so):$(c++ -print-file-name=libubsan.so)" \
  exec node node_modules/vitest/vitest.mjs run --testTimeout 60000 "$@"
