# keystead.node, the data-key verbs inside an HSM worker: npx node-gyp rebuild --directory native
# The sanitizer driver needs no Node and is built by the Makefile beside this file.
{
  "targets": [
    {
      "target_name": "keystead",
      "sources": ["addon.cc", "cryptoki.cc", "keys.cc", "memory.cc", "session.cc", "token.cc"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      # Errors are C++ exceptions here; Node's defaults switch exceptions off.
      "defines": ["NODE_ADDON_API_CPP_EXCEPTIONS_ALL", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
      "cflags!": ["-O3"],
      "cflags": ["-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17"],
      "cflags_cc": ["-std=c++20"],
      "libraries": ["-ldl"]
    }
  ]
}
