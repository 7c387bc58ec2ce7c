{
  # For installations without a prebuilt binary: `npm rebuild atsss` makes the same files in the same place as CMake.
  # Warnings are no errors there: nobody knows the compiler.
  # The sources are listed once, in native/sources.json.
  "target_defaults": {
    "cflags_cc": ["-std=c++17", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion"],
    "cflags_cc!": ["-fno-rtti", "-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
    "cflags!": ["-fno-exceptions"]
  },
  "targets": [
    {
      "target_name": "atsss",
      "sources": ["<!@(node -p \"require('./native/sources.json').addon.map(name => 'native/' + name).join(' ')\")"],
      "cflags_cc": ["-isystem <!(node -p \"path.resolve(require('node-addon-api').include_dir)\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ]
    },
    {
      "target_name": "link-emulator",
      "type": "executable",
      "sources": ["<!@(node -p \"require('./native/sources.json')['link-emulator'].map(name => 'native/' + name).join(' ')\")"],
      "ldflags!": ["-rdynamic"]
    },
    {
      "target_name": "atsss-helper",
      "type": "executable",
      "sources": ["<!@(node -p \"require('./native/sources.json')['atsss-helper'].map(name => 'native/' + name).join(' ')\")"],
      "ldflags!": ["-rdynamic"]
    }
  ]
}
