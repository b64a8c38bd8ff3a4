// Drives keystead's C++ classes without Node, so that the sanitizers see every line of them.
//
// For: running all tests on one real SoftHSM token, or measuring. `--module <path>` names the
// PKCS#11 library, `--bench` measures instead of testing.
// Leaves out: argument types and JavaScript errors (addon.cc), which need Node.

#include <cstdio>
#include <string>

#include "bench.h"
#include "check.h"
#include "cryptoki.h"
#include "hsm.h"

namespace keystead::test {
namespace {

int Run(const std::string& module, bool bench) {
  Hsm hsm(module);
  if (bench) {
    Bench(hsm);
    return 0;
  }
  for (const auto& tests : {VerbsTests(), KeysTests(), ErrorsTests()}) {
    for (const Test test : tests) {
      const Outcome outcome = Try([&] { test(hsm); });
      if (outcome.threw) std::printf("%s: 0x%lx\n", outcome.error.function, outcome.error.rv);
      CHECK(!outcome.threw);
    }
  }
  std::printf("%d passed, %d failed\n", Counted().passed, Counted().failed);
  return Counted().failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace keystead::test

int main(int argc, char** argv) {
  std::string module = "/usr/lib/softhsm/libsofthsm2.so";
  bool bench = false;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--bench") bench = true;
    if (option == "--module" && i + 1 < argc) module = argv[++i];
  }
  try {
    return keystead::test::Run(module, bench);
  } catch (const keystead::Pkcs11Error& error) {
    std::printf("%s: 0x%lx\n0 passed, 1 failed\n", error.function, error.rv);
    return 1;
  }
}
